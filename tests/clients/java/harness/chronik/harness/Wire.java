package chronik.harness;

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** Requests written by hand, for what no client would send. */
public final class Wire implements AutoCloseable {
    public static final short METADATA = 3;
    public static final short API_VERSIONS = 18;
    public static final short INIT_PRODUCER_ID = 22;
    public static final short ADD_PARTITIONS_TO_TXN = 24;
    public static final short END_TXN = 26;
    public static final short CONSUMER_GROUP_HEARTBEAT = 68;

    // ApiVersions from here on: the header's tagged fields, a client's name and version, the body's tagged fields.
    private static final short FIRST_FLEXIBLE = 3;
    private static final byte[] NAME_AND_VERSION = {0, 2, 'c', 2, '1', 0};

    private static final int LIMIT_MS = 10_000;
    private static final int CORRELATION = 4711;
    private static final int MAX_ANSWER = 1 << 20;

    private final Socket socket = new Socket();

    /** The versions of one API that a broker serves. */
    public record Versions(short min, short max) {}

    /** An answer to ApiVersions in version 0: the error code, and the APIs by key. */
    public record ApiVersions(short error, Map<Short, Versions> apis) {}

    public Wire(String bootstrap) throws IOException {
        int colon = bootstrap.lastIndexOf(':');
        int port = Integer.parseInt(bootstrap.substring(colon + 1));
        socket.connect(new InetSocketAddress(bootstrap.substring(0, colon), port), LIMIT_MS);
        socket.setSoTimeout(LIMIT_MS);
    }

    /** What the broker serves. */
    public static Map<Short, Versions> served(String bootstrap) throws IOException {
        try (Wire wire = new Wire(bootstrap)) {
            return wire.apiVersions((short) 0).apis();
        }
    }

    /** Asks for ApiVersions in some version; the answer is read as version 0, which one to an unknown version is. */
    public ApiVersions apiVersions(short version) throws IOException {
        send(API_VERSIONS, version, version < FIRST_FLEXIBLE ? new byte[0] : NAME_AND_VERSION);
        ByteBuffer answer = receive().orElseThrow(() -> new EOFException("closed instead of answering ApiVersions"));
        short error = answer.getShort();
        Map<Short, Versions> apis = new TreeMap<>();
        for (int left = answer.getInt(); left > 0; left--) {
            apis.put(answer.getShort(), new Versions(answer.getShort(), answer.getShort()));
        }
        return new ApiVersions(error, apis);
    }

    /** Sends one request with a header of version 1. */
    public void send(short api, short version, byte[] body) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream request = new DataOutputStream(bytes);
        request.writeShort(api);
        request.writeShort(version);
        request.writeInt(CORRELATION);
        request.writeUTF("by hand");
        request.write(body);
        DataOutputStream out = new DataOutputStream(socket.getOutputStream());
        out.writeInt(bytes.size());
        bytes.writeTo(out);
        out.flush();
    }

    /** The body of the next answer, or nothing if the broker closed the connection. */
    public Optional<ByteBuffer> receive() throws IOException {
        DataInputStream in = new DataInputStream(socket.getInputStream());
        try {
            int size = in.readInt();
            Expect.that(size >= Integer.BYTES && size <= MAX_ANSWER, "an answer of " + size + " bytes");
            ByteBuffer answer = ByteBuffer.wrap(in.readNBytes(size));
            Expect.equal("correlation id", CORRELATION, answer.getInt());
            return Optional.of(answer);
        } catch (EOFException | SocketException closed) {
            return Optional.empty();
        }
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}

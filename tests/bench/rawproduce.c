/*
 * A closed-loop Kafka producer without a client library: N connections, each keeping W single-record Produce requests
 * (version 7, acks=all) in flight. One thread, epoll. The request is encoded once; only its correlation id changes.
 *
 *   rawproduce PORT TOPIC PARTITIONS CONNECTIONS WINDOW WARMUP_S SECONDS RECORD_BYTES
 *
 * Prints one line of JSON: requests answered after the warm-up, rate, and latency percentiles in microseconds.
 * Any error code, disconnect or answer out of order ends it with exit code 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_WINDOW = 1024,
    MAX_EVENTS = 256,
    RECEIVE_BYTES = 64 * 1024,
    PRODUCE = 0,
    PRODUCE_VERSION = 7,
    REQUEST_TIMEOUT_MS = 30000,
    CORRELATION_ID_AT = 8, /* length, API key, version */
    ATTRIBUTES_AT = 21,    /* first byte of a batch that its checksum covers */
    STALL_MS = 30000,
};

struct buffer {
    uint8_t *bytes;
    size_t length;
    size_t capacity;
};

struct connection {
    int fd;
    uint8_t *request; /* this connection's copy, for its partition */
    size_t send_at;   /* bytes of the current request already sent */
    uint32_t sent;    /* requests fully sent: the next correlation id */
    uint32_t answered;
    uint64_t sent_ns[MAX_WINDOW];
    uint8_t received[RECEIVE_BYTES];
    size_t received_length;
    int wants_write;
};

struct run {
    const char *topic;
    size_t request_length;
    uint32_t window;
    uint64_t measure_from_ns;
    uint64_t end_ns;
    uint32_t *latencies_us;
    size_t count;
    size_t capacity;
    int epoll;
};

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("rawproduce: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *allocate(void *old, size_t bytes) {
    void *memory = realloc(old, bytes);
    if (memory == NULL) die("out of memory");
    return memory;
}

/* Encoding. */

static void put(struct buffer *out, const void *bytes, size_t length) {
    if (out->length + length > out->capacity) {
        out->capacity = (out->length + length) * 2;
        out->bytes = allocate(out->bytes, out->capacity);
    }
    memcpy(out->bytes + out->length, bytes, length);
    out->length += length;
}

static void put_u8(struct buffer *out, uint8_t value) { put(out, &value, 1); }

static void put_u16(struct buffer *out, uint16_t value) {
    value = htobe16(value);
    put(out, &value, sizeof value);
}

static void put_u32(struct buffer *out, uint32_t value) {
    value = htobe32(value);
    put(out, &value, sizeof value);
}

static void put_u64(struct buffer *out, uint64_t value) {
    value = htobe64(value);
    put(out, &value, sizeof value);
}

static void put_string(struct buffer *out, const char *text) {
    put_u16(out, (uint16_t)strlen(text));
    put(out, text, strlen(text));
}

static void put_varint(struct buffer *out, int32_t value) {
    uint32_t zigzag = ((uint32_t)value << 1) ^ (uint32_t)(value >> 31);
    while (zigzag >= 0x80) {
        put_u8(out, (uint8_t)(zigzag | 0x80));
        zigzag >>= 7;
    }
    put_u8(out, (uint8_t)zigzag);
}

static void patch_u32(struct buffer *out, size_t at, uint32_t value) {
    value = htobe32(value);
    memcpy(out->bytes + at, &value, sizeof value);
}

static uint32_t crc32c(const uint8_t *bytes, size_t length) {
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

/* One record batch of format v2 that holds one record without key and headers. */
static struct buffer encode_batch(size_t record_bytes) {
    struct buffer record = {0};
    put_u8(&record, 0);      /* attributes */
    put_varint(&record, 0);  /* timestamp delta */
    put_varint(&record, 0);  /* offset delta */
    put_varint(&record, -1); /* no key */
    put_varint(&record, (int32_t)record_bytes);
    for (size_t i = 0; i < record_bytes; i++) put_u8(&record, (uint8_t)('a' + i * 7 % 26));
    put_varint(&record, 0); /* no headers */

    uint64_t now_ms = (uint64_t)time(NULL) * 1000;
    struct buffer batch = {0};
    put_u64(&batch, 0);           /* base offset: the broker's */
    put_u32(&batch, 0);           /* length, patched below */
    put_u32(&batch, UINT32_MAX);  /* partition leader epoch: the broker's */
    put_u8(&batch, 2);            /* magic */
    put_u32(&batch, 0);           /* checksum, patched below */
    put_u16(&batch, 0);           /* attributes */
    put_u32(&batch, 0);           /* last offset delta */
    put_u64(&batch, now_ms);      /* base timestamp */
    put_u64(&batch, now_ms);      /* max timestamp */
    put_u64(&batch, UINT64_MAX);  /* producer id: none */
    put_u16(&batch, UINT16_MAX);  /* producer epoch */
    put_u32(&batch, UINT32_MAX);  /* base sequence */
    put_u32(&batch, 1);           /* records */
    put_varint(&batch, (int32_t)record.length);
    put(&batch, record.bytes, record.length);
    patch_u32(&batch, 8, (uint32_t)batch.length - 12);
    patch_u32(&batch, ATTRIBUTES_AT - 4, crc32c(batch.bytes + ATTRIBUTES_AT, batch.length - ATTRIBUTES_AT));
    free(record.bytes);
    return batch;
}

static struct buffer encode_request(const char *topic, uint32_t partition, const struct buffer *batch) {
    struct buffer request = {0};
    put_u32(&request, 0); /* length, patched below */
    put_u16(&request, PRODUCE);
    put_u16(&request, PRODUCE_VERSION);
    put_u32(&request, 0); /* correlation id, patched when sent */
    put_string(&request, "rawproduce");
    put_u16(&request, UINT16_MAX); /* no transactional id */
    put_u16(&request, UINT16_MAX); /* acks=all */
    put_u32(&request, REQUEST_TIMEOUT_MS);
    put_u32(&request, 1);
    put_string(&request, topic);
    put_u32(&request, 1);
    put_u32(&request, partition);
    put_u32(&request, (uint32_t)batch->length);
    put(&request, batch->bytes, batch->length);
    patch_u32(&request, 0, (uint32_t)request.length - 4);
    return request;
}

/* The loop. */

static int dial(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect: %s", strerror(errno));
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) die("fcntl: %s", strerror(errno));
    return fd;
}

static void watch(const struct run *run, struct connection *connection, int wants_write) {
    if (connection->wants_write == wants_write) return;
    connection->wants_write = wants_write;
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = connection};
    if (epoll_ctl(run->epoll, EPOLL_CTL_MOD, connection->fd, &event) != 0) die("epoll_ctl: %s", strerror(errno));
}

static void fill_window(const struct run *run, struct connection *connection) {
    while (connection->sent - connection->answered < run->window) {
        if (connection->send_at == 0) {
            uint32_t correlation_id = htobe32(connection->sent);
            memcpy(connection->request + CORRELATION_ID_AT, &correlation_id, sizeof correlation_id);
            connection->sent_ns[connection->sent % MAX_WINDOW] = now_ns();
        }
        ssize_t written = send(connection->fd, connection->request + connection->send_at,
                               run->request_length - connection->send_at, MSG_NOSIGNAL);
        if (written < 0 && errno == EAGAIN) {
            watch(run, connection, 1);
            return;
        }
        if (written < 0) die("send: %s", strerror(errno));
        connection->send_at += (size_t)written;
        if (connection->send_at < run->request_length) continue;
        connection->send_at = 0;
        connection->sent++;
    }
    watch(run, connection, 0);
}

static void note(struct run *run, uint64_t began_ns, uint64_t ended_ns) {
    if (ended_ns < run->measure_from_ns || ended_ns >= run->end_ns) return;
    if (run->count == run->capacity) {
        run->capacity = run->capacity ? run->capacity * 2 : 1 << 20;
        run->latencies_us = allocate(run->latencies_us, run->capacity * sizeof *run->latencies_us);
    }
    run->latencies_us[run->count++] = (uint32_t)((ended_ns - began_ns) / 1000);
}

static uint32_t read_u32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return be32toh(value);
}

static void take_answer(struct run *run, struct connection *connection, const uint8_t *frame, size_t length) {
    size_t error_at = 4 + 4 + 2 + strlen(run->topic) + 4 + 4;
    if (length < error_at + 2) die("answer of %zu bytes", length);
    if (read_u32(frame) != connection->answered) die("answer %u, expected %u", read_u32(frame), connection->answered);
    int error = frame[error_at] << 8 | frame[error_at + 1];
    if (error != 0) die("error code %d", error);
    note(run, connection->sent_ns[connection->answered % MAX_WINDOW], now_ns());
    connection->answered++;
}

static void receive(struct run *run, struct connection *connection) {
    ssize_t got = recv(connection->fd, connection->received + connection->received_length,
                       RECEIVE_BYTES - connection->received_length, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) die("recv: %s", strerror(errno));
    if (got == 0) die("the broker closed the connection");
    connection->received_length += (size_t)got;
    size_t at = 0;
    while (connection->received_length - at >= 4) {
        size_t length = read_u32(connection->received + at);
        if (length > RECEIVE_BYTES - 4) die("answer of %zu bytes", length);
        if (connection->received_length - at - 4 < length) break;
        take_answer(run, connection, connection->received + at + 4, length);
        at += 4 + length;
    }
    memmove(connection->received, connection->received + at, connection->received_length - at);
    connection->received_length -= at;
}

static int by_value(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static uint32_t percentile(const struct run *run, double share) {
    size_t at = (size_t)(share * (double)run->count);
    return run->latencies_us[at < run->count ? at : run->count - 1];
}

static void report(struct run *run, double seconds) {
    if (run->count == 0) die("no answer after the warm-up");
    qsort(run->latencies_us, run->count, sizeof *run->latencies_us, by_value);
    printf("{\"records\": %zu, \"seconds\": %.3f, \"records_per_s\": %.0f, \"p50_us\": %u, \"p99_us\": %u, "
           "\"p999_us\": %u, \"max_us\": %u}\n",
           run->count, seconds, (double)run->count / seconds, percentile(run, 0.5), percentile(run, 0.99),
           percentile(run, 0.999), percentile(run, 1.0));
}

static uint32_t number(const char *text, uint32_t low, uint32_t high) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text == 0 || *end != 0 || value < low || value > high) die("'%s' is not in %u..%u", text, low, high);
    return (uint32_t)value;
}

int main(int argc, char **argv) {
    if (argc != 9) die("usage: PORT TOPIC PARTITIONS CONNECTIONS WINDOW WARMUP_S SECONDS RECORD_BYTES");
    uint16_t port = (uint16_t)number(argv[1], 1, 65535);
    uint32_t partitions = number(argv[3], 1, 100000);
    uint32_t connections = number(argv[4], 1, 20000);
    uint32_t warmup_s = number(argv[6], 0, 3600);
    uint32_t seconds = number(argv[7], 1, 3600);
    struct buffer batch = encode_batch(number(argv[8], 1, 1 << 20));
    struct run run = {.topic = argv[2], .window = number(argv[5], 1, MAX_WINDOW), .epoll = epoll_create1(0)};

    for (uint32_t i = 0; i < connections; i++) {
        struct connection *connection = allocate(NULL, sizeof *connection);
        memset(connection, 0, sizeof *connection);
        struct buffer request = encode_request(run.topic, i % partitions, &batch);
        connection->request = request.bytes;
        run.request_length = request.length;
        connection->fd = dial(port);
        connection->wants_write = 1;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = connection};
        if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0) die("epoll_ctl: %s", strerror(errno));
    }
    run.measure_from_ns = now_ns() + warmup_s * 1000000000ull;
    run.end_ns = run.measure_from_ns + seconds * 1000000000ull;

    struct epoll_event events[MAX_EVENTS];
    while (now_ns() < run.end_ns) {
        int ready = epoll_wait(run.epoll, events, MAX_EVENTS, STALL_MS);
        if (ready == 0) die("no answer for %d ms", STALL_MS);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(&run, connection);
            fill_window(&run, connection);
        }
    }
    report(&run, seconds);
    return 0;
}

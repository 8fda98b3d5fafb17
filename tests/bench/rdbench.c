/*
 * Throughput through librdkafka, the client library under most languages' Kafka clients.
 *
 *   rdbench produce BOOTSTRAP TOPIC RECORDS RECORD_BYTES [PROPERTY=VALUE]...
 *   rdbench consume BOOTSTRAP TOPIC RECORDS PARTITIONS   [PROPERTY=VALUE]...
 *
 * Prints one line of JSON. `produce` ends when every record is acknowledged, `consume` when that many records were read
 * from the start of the partitions. A failed delivery, or 60 s without progress, is exit code 1.
 */
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STALL_MS = 60000, CONSUME_BATCH = 10000, POLL_MS = 100 };

static long acknowledged;
static long failed;

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("rdbench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long positive(const char *text) {
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == 0 || *end != 0 || value <= 0) die("'%s' is not a positive number", text);
    return value;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
    char problem[512];
    if (rd_kafka_conf_set(conf, name, value, problem, sizeof problem) != RD_KAFKA_CONF_OK) die("%s", problem);
}

static rd_kafka_conf_t *configure(const char *bootstrap, char **properties) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", bootstrap);
    for (; *properties != NULL; properties++) {
        char *value = strchr(*properties, '=');
        if (value == NULL) die("'%s' is not PROPERTY=VALUE", *properties);
        *value++ = 0;
        set(conf, *properties, value);
    }
    return conf;
}

static rd_kafka_t *connect_to(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
    char problem[512];
    rd_kafka_t *client = rd_kafka_new(type, conf, problem, sizeof problem);
    if (client == NULL) die("%s", problem);
    return client;
}

static void report(long records, long bytes, double seconds) {
    printf("{\"records\": %ld, \"seconds\": %.3f, \"records_per_s\": %.0f, \"mb_per_s\": %.1f}\n", records, seconds,
           (double)records / seconds, (double)bytes / seconds / 1e6);
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client;
    (void)opaque;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) failed++;
    acknowledged++;
}

static void produce(const char *bootstrap, const char *topic, long records, size_t bytes, char **properties) {
    rd_kafka_conf_t *conf = configure(bootstrap, properties);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *client = connect_to(RD_KAFKA_PRODUCER, conf);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    char *value = malloc(bytes);
    if (handle == NULL || value == NULL) die("cannot start");
    for (size_t i = 0; i < bytes; i++) value[i] = (char)('a' + i * 7 % 26);

    double began = now_s();
    for (long sent = 0; sent < records;) {
        if (rd_kafka_produce(handle, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, bytes, NULL, 0, NULL) == 0) {
            sent++;
            if (sent % 1000 == 0) rd_kafka_poll(client, 0);
        } else if (rd_kafka_last_error() == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_poll(client, POLL_MS);
        } else {
            die("%s", rd_kafka_err2str(rd_kafka_last_error()));
        }
    }
    if (rd_kafka_flush(client, STALL_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) die("records left after %d ms", STALL_MS);
    double seconds = now_s() - began;
    if (failed != 0 || acknowledged != records) die("%ld of %ld records failed", failed, acknowledged);
    report(records, records * (long)bytes, seconds);
    free(value);
    rd_kafka_topic_destroy(handle);
    rd_kafka_destroy(client);
}

static void consume(const char *bootstrap, const char *topic, long records, int partitions, char **properties) {
    rd_kafka_t *client = connect_to(RD_KAFKA_CONSUMER, configure(bootstrap, properties));
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_message_t **messages = calloc(CONSUME_BATCH, sizeof *messages);
    if (handle == NULL || queue == NULL || messages == NULL) die("cannot start");

    double began = now_s(), progress = began;
    for (int i = 0; i < partitions; i++)
        if (rd_kafka_consume_start_queue(handle, i, RD_KAFKA_OFFSET_BEGINNING, queue) != 0)
            die("%s", rd_kafka_err2str(rd_kafka_last_error()));
    long read = 0, bytes = 0;
    while (read < records) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, POLL_MS, messages, CONSUME_BATCH);
        for (ssize_t i = 0; i < got; i++) {
            if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                read++;
                bytes += (long)messages[i]->len;
            } else if (messages[i]->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                die("%s", rd_kafka_message_errstr(messages[i]));
            }
            rd_kafka_message_destroy(messages[i]);
        }
        if (got > 0) progress = now_s();
        if (now_s() - progress > STALL_MS / 1e3) die("stopped at %ld of %ld records", read, records);
    }
    double seconds = now_s() - began;
    report(read, bytes, seconds);
    for (int i = 0; i < partitions; i++) rd_kafka_consume_stop(handle, i);
    free(messages);
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_destroy(handle);
    rd_kafka_destroy(client);
}

int main(int argc, char **argv) {
    if (argc < 6) die("usage: produce|consume BOOTSTRAP TOPIC RECORDS RECORD_BYTES|PARTITIONS [PROPERTY=VALUE]...");
    long records = positive(argv[4]), last = positive(argv[5]);
    if (strcmp(argv[1], "produce") == 0)
        produce(argv[2], argv[3], records, (size_t)last, argv + 6);
    else if (strcmp(argv[1], "consume") == 0)
        consume(argv[2], argv[3], records, (int)last, argv + 6);
    else
        die("'%s' is neither produce nor consume", argv[1]);
    return 0;
}

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.management.ManagementFactory;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

/** The job on Kafka Streams: an aggregate in an in-memory store with its changelog. The arguments of fold.Job, then bytes of record cache. */
public final class KafkaStreamsJob {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        String source = arguments[2];
        String output = arguments[3];
        long events = Long.parseLong(arguments[5]);
        AtomicLong seen = new AtomicLong();
        StreamsBuilder builder = new StreamsBuilder();
        var store = Materialized.<byte[], byte[]>as(Stores.inMemoryKeyValueStore("states"))
                .withKeySerde(Serdes.ByteArray()).withValueSerde(Serdes.ByteArray());
        builder.stream(source, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .groupByKey(Grouped.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .aggregate(() -> null, (key, value, state) -> {
                    if (seen.get() == 0) {
                        tell("first");
                    }
                    byte[] folded = fold(state, value);
                    long now = seen.incrementAndGet();
                    if (now == events / 2) {
                        tell("half");
                    } else if (now == events) {
                        tell("all");
                    }
                    return folded;
                }, store)
                .toStream()
                .to(output, Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[1]);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[6]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, Long.parseLong(arguments[7]));
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.producerPrefix("acks"), "all");
        settings.put(StreamsConfig.producerPrefix("enable.idempotence"), true);
        settings.put(StreamsConfig.producerPrefix("linger.ms"), 100);
        settings.put(StreamsConfig.producerPrefix("batch.size"), 128 * 1024);
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        CountDownLatch stop = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            stop.countDown();
        }));
        streams.start();
        stop.await();
    }

    private static byte[] fold(byte[] state, byte[] value) {
        try {
            JsonNode event = JSON.readTree(value);
            ObjectNode folded = JSON.createObjectNode();
            JsonNode before = state == null ? null : JSON.readTree(state);
            JsonNode newest = before == null || event.get("time").asLong() > before.get("time").asLong() ? event : before;
            folded.put("count", before == null ? 1 : before.get("count").asLong() + 1);
            folded.set("time", newest.get("time"));
            folded.set("value", newest.get("value"));
            return JSON.writeValueAsBytes(folded);
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }

    private static void tell(String what) {
        var system = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        System.out.println(what + " " + System.currentTimeMillis() / 1000.0 + " " + system.getProcessCpuTime() / 1e9);
        System.out.flush();
    }
}

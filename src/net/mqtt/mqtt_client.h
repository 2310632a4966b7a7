#pragma once

// MqttClient: one lasting connection to a broker, MQTT 5 over TLS (or WebSockets over TLS).
//
// Owned by whoever wires a process together. It connects at once and again whenever the connection
// is lost (wait doubled up to a cap, jittered), renews its subscriptions each time, and keeps
// nothing across connections: what is to outlive one is said anew in `connected`. That suits
// messages that are whole documents or are acknowledged by a message of ours
// (docs/formats/fleet.md).
//
// Threads: every method may be called from any thread, Stop and the destructor not from a callback.
// Callbacks come one after another on one thread of the client's own; they may publish and
// subscribe, and must not wait for long: meanwhile messages gather in a queue with a limit. No call
// of ours waits for the network, DNS or the library's locks, except Stop, for at most two seconds.
//
// Failure: Start reports options that can never work. Later every failure to connect and every loss
// is told by `lost` with a reason in one sentence, and tried again for ever.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace selvedge {

struct MqttMessage {
  std::string topic;
  std::string payload;
  int qos = 0;            // 0 or 1
  bool retained = false;  // in Publish: to be kept by the broker; received: kept from before
};

struct MqttOptions {
  // Tried in turn until one connects: "mqtts://HOST:PORT", "wss://HOST:PORT[/PATH]". "mqtt://" and
  // "ws://" are refused unless the host is this machine by a numeric loopback address.
  std::vector<std::string> uris;
  std::string client_id;  // 1 to 128 bytes; a second client of the same id puts the first out
  std::string ca_file;    // PEM; nothing else is trusted. Required with TLS
  std::string certificate_file;  // PEM; empty: none is shown
  std::string key_file;
  std::optional<MqttMessage> will;  // published by the broker when the connection ends unasked
  Nanos keep_alive = 20 * kSecond;  // a silent connection is given up after 1.5 times this
  Nanos connect_timeout = 10 * kSecond;
  Nanos retry_first = 500 * kMillisecond;  // the first wait before connecting again, nanoseconds
  Nanos retry_max = 30 * kSecond;
  // "http://[USER:PASSWORD@]HOST:PORT": connections go through it (HTTP CONNECT). Empty: none.
  std::string proxy;
  std::size_t max_packet = std::size_t{1} << 20;  // bytes of a message, topic and payload
  // What may wait to be sent, and to be handed to `message`.
  std::size_t max_queued_messages = 4096;
  std::size_t max_queued_bytes = std::size_t{8} << 20;
  std::string log_name = "mqtt";  // component of log lines
};

struct MqttCallbacks {
  // Connected, and the broker confirmed every subscription.
  std::function<void()> connected;
  // The connection that `connected` told of is gone; or (`was_connected` false) an attempt failed.
  std::function<void(const Status& reason, bool was_connected)> lost;
  std::function<void(MqttMessage message)> message;
};

// Since the client was made, over all its connections. Payloads with their topics; and what the
// kernel says about the sockets (TCP_INFO): the bytes of TCP's stream, TLS included, and segments.
struct MqttTraffic {
  std::uint64_t messages_sent = 0;  // handed to the connection
  std::uint64_t messages_received = 0;
  std::uint64_t payload_bytes_sent = 0;
  std::uint64_t payload_bytes_received = 0;
  std::uint64_t stream_bytes_sent = 0;
  std::uint64_t stream_bytes_received = 0;
  std::uint64_t segments_sent = 0;  // acknowledgements without content are segments too
  std::uint64_t segments_received = 0;
  std::uint64_t dropped_messages = 0;  // received while the queue was full
  std::uint64_t refused_messages = 0;  // of QoS 1, which the broker's access list forbids
  std::uint64_t connections = 0;

  // Bytes as IP carries them: the stream, and 52 bytes of headers (IPv4, TCP with timestamps) for
  // each segment.
  std::uint64_t ip_bytes_sent() const { return stream_bytes_sent + 52 * segments_sent; }
  std::uint64_t ip_bytes_received() const { return stream_bytes_received + 52 * segments_received; }
};

class MqttClient {
 public:
  // InvalidArgument for options that can never work, NotFound for a file that is not there.
  static Result<std::unique_ptr<MqttClient>> Start(MqttOptions options, MqttCallbacks callbacks);
  // Stop(kDisconnect), where that was not called.
  ~MqttClient();
  MqttClient(const MqttClient&) = delete;
  MqttClient& operator=(const MqttClient&) = delete;

  // Queues it; in order, for one topic and QoS. Accepted means no more than that: it is lost with
  // the connection (publish again in `connected`). Unavailable while not connected,
  // ResourceExhausted where the queue is full, InvalidArgument above max_packet or for a QoS that
  // is neither 0 nor 1.
  Status Publish(std::string topic, std::string payload, int qos, bool retain);
  // Adds a filter ("selvedge/v1/plant-1/+/state"), for this and all later connections. At most
  // 1024.
  Status Subscribe(std::string filter, int qos);
  // Takes a filter away; what was already received may still be handed over.
  void Unsubscribe(const std::string& filter);

  bool connected() const;
  // Messages and bytes that wait to be sent, those included that the broker has not confirmed.
  std::size_t queued_messages() const;
  MqttTraffic traffic() const;
  // The wait before connecting again is over now: something else showed that the network is back.
  void RetryNow();

  enum class StopMode {
    kDisconnect,  // sends what is queued (at most two seconds), says good-bye: no Will
    kWill,        // the broker publishes the Will
    kCut,         // nothing is said, as if the power were cut; the broker publishes the Will
  };
  // Ends the connection and the thread. No callback begins after it. Further calls do nothing.
  void Stop(StopMode mode = StopMode::kDisconnect);

 private:
  explicit MqttClient(std::unique_ptr<class MqttClientCore> core);
  std::unique_ptr<class MqttClientCore> core_;
};

}  // namespace selvedge

#include "net/mqtt/paho_connection.h"

#include <MQTTAsync.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <string_view>
#include <utility>

namespace selvedge {
namespace {

constexpr std::size_t kSlots = 128;  // messages that Paho holds at a time
constexpr std::size_t kMaxHeldBytes = std::size_t{2} << 20;

std::string Text(const char* text) {
  return text == nullptr ? "" : text;
}

// Paho stops its threads with the last client, and starts them with the next one; one that is never
// connected keeps them.
void KeepLibraryRunning() {
  static const bool made = [] {
    static MQTTAsync keeper = nullptr;
    MQTTAsync_create(&keeper, "tcp://127.0.0.1:1", "keeper", MQTTCLIENT_PERSISTENCE_NONE, nullptr);
    return true;
  }();
  (void)made;
}

std::string PahoUri(const MqttUri& uri) {
  const std::string_view scheme =
      uri.websockets ? (uri.tls ? "wss://" : "ws://") : (uri.tls ? "ssl://" : "tcp://");
  return std::string(scheme) + uri.Place() + uri.path;
}

int Seconds(Nanos time) {
  return static_cast<int>(std::clamp<Nanos>((time + kSecond - 1) / kSecond, 1, 3600));
}

std::string_view CodeText(int code) {
  switch (code) {
    case MQTTASYNC_DISCONNECTED: return "not connected";
    case MQTTASYNC_MAX_MESSAGES_INFLIGHT:
    case MQTTASYNC_MAX_BUFFERED_MESSAGES: return "too many messages are waiting";
    case MQTTASYNC_OPERATION_INCOMPLETE: return "given up";
    case MQTTASYNC_SSL_NOT_SUPPORTED: return "the MQTT library has no TLS";
    default: return "the MQTT library refused it";
  }
}

Status PahoError(int code, std::string_view what) {
  std::string message(what);
  message.append(": ").append(CodeText(code)).append(" (").append(std::to_string(code)).append(")");
  const bool full =
      code == MQTTASYNC_MAX_MESSAGES_INFLIGHT || code == MQTTASYNC_MAX_BUFFERED_MESSAGES;
  return full ? ResourceExhaustedError(std::move(message)) : UnavailableError(std::move(message));
}

}  // namespace

struct PahoConnection::State {
  // Of a message that Paho has; its address is the context of the message's callbacks.
  struct Slot {
    State* state = nullptr;
    std::size_t bytes = 0;
    bool used = false;
  };

  explicit State(Sink* the_sink) : sink(the_sink) {
    for (Slot& slot : slots) slot.state = this;
  }
  ~State() {
    if (handle != nullptr) MQTTAsync_destroy(&handle);
    // What Paho forgot to answer for.
    for (Slot& slot : slots) {
      if (slot.used) sink->OnSent(slot.bytes, false);
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Slot* Take(std::size_t bytes) {
    const std::lock_guard lock(mutex);
    const auto slot = std::ranges::find_if(slots, [](const Slot& s) { return !s.used; });
    if (slot == slots.end()) return nullptr;
    slot->used = true;
    slot->bytes = bytes;
    ++used;
    held_bytes += bytes;
    return &*slot;
  }
  void GiveBack(Slot* slot) {
    const std::lock_guard lock(mutex);
    slot->used = false;
    --used;
    held_bytes -= slot->bytes;
  }

  // "socket error: certificate verify failed" and so on, of whatever was told about the failure.
  std::string Reason(std::string_view event, const char* message, int reason_code) {
    const std::lock_guard lock(mutex);
    std::string text(event);
    if (!Text(message).empty()) text += ": " + Text(message);
    if (reason_code > 0) text += ": " + Text(MQTTReasonCode_toString(MQTTReasonCodes(reason_code)));
    if (!tls_error.empty()) text += ": " + tls_error;
    if (!server_reason.empty()) text += ": " + server_reason;
    return text;
  }

  static void OnConnect(void* context, MQTTAsync_successData5* /*data*/) {
    static_cast<State*>(context)->sink->OnConnected();
  }
  static void OnConnectFailure(void* context, MQTTAsync_failureData5* data) {
    auto* self = static_cast<State*>(context);
    const int code = data == nullptr ? 0 : std::max<int>(data->reasonCode, data->code);
    self->sink->OnEnded(
        self->Reason("cannot connect", data == nullptr ? nullptr : data->message, code));
  }
  static void OnLost(void* context, char* cause) {
    auto* self = static_cast<State*>(context);
    self->sink->OnEnded(self->Reason("the connection was lost", cause, 0));
  }
  static void OnServerDisconnect(void* context, MQTTProperties* /*properties*/,
                                 enum MQTTReasonCodes reason) {
    auto* self = static_cast<State*>(context);
    {
      const std::lock_guard lock(self->mutex);
      self->server_reason = "the broker said " + Text(MQTTReasonCode_toString(reason));
    }
    // Paho closes the socket now, and whether it also tells of the loss depends on what it was
    // writing at that moment.
    self->sink->OnEnded(self->Reason("the broker ended the connection", nullptr, 0));
  }
  static int OnTlsError(const char* text, std::size_t size, void* context) {
    auto* self = static_cast<State*>(context);
    std::string_view line(text, std::min<std::size_t>(size, 300));
    // "140…:error:0A000086:SSL routines:tls_process_server_certificate:certificate verify failed:…"
    if (const std::size_t at = line.find("SSL routines:"); at != std::string_view::npos) {
      line.remove_prefix(at);
      for (int colons = 0; colons < 2; ++colons) {
        const std::size_t colon = line.find(':');
        if (colon != std::string_view::npos) line.remove_prefix(colon + 1);
      }
      line = line.substr(0, line.find(':'));
    }
    while (line.ends_with('\n')) line.remove_suffix(1);
    const std::lock_guard lock(self->mutex);
    if (self->tls_error.empty()) self->tls_error = line;
    return 1;
  }
  static int OnArrived(void* context, char* topic, int topic_size, MQTTAsync_message* message) {
    MqttMessage ours;
    ours.topic.assign(topic,
                      topic_size > 0 ? static_cast<std::size_t>(topic_size) : std::strlen(topic));
    if (message->payloadlen > 0) {
      ours.payload.assign(static_cast<const char*>(message->payload),
                          static_cast<std::size_t>(message->payloadlen));
    }
    ours.qos = message->qos;
    ours.retained = message->retained != 0;
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    static_cast<State*>(context)->sink->OnMessage(std::move(ours));
    return 1;
  }
  static void Answered(void* context, bool refused) {
    auto* slot = static_cast<Slot*>(context);
    State* state = slot->state;
    const std::size_t bytes = slot->bytes;
    state->GiveBack(slot);
    state->sink->OnSent(bytes, refused);
  }
  static void OnSendSuccess(void* context, MQTTAsync_successData5* /*data*/) {
    Answered(context, false);
  }
  static void OnSendFailure(void* context, MQTTAsync_failureData5* data) {
    Answered(context, data != nullptr && data->reasonCode >= MQTTREASONCODE_UNSPECIFIED_ERROR);
  }
  static void OnSubscribeSuccess(void* context, MQTTAsync_successData5* data) {
    Status status;
    const auto refused = [&](int code) {
      if (code >= MQTTREASONCODE_UNSPECIFIED_ERROR) {
        status = PermissionDeniedError("the broker refused a subscription: " +
                                       Text(MQTTReasonCode_toString(MQTTReasonCodes(code))));
      }
    };
    refused(data->reasonCode);
    for (int i = 0; data->alt.sub.reasonCodeCount > 1 && i < data->alt.sub.reasonCodeCount; ++i) {
      refused(data->alt.sub.reasonCodes[i]);
    }
    static_cast<State*>(context)->sink->OnSubscribed(std::move(status));
  }
  static void OnSubscribeFailure(void* context, MQTTAsync_failureData5* data) {
    auto* self = static_cast<State*>(context);
    const int code = data == nullptr ? 0 : std::max<int>(data->reasonCode, 0);
    self->sink->OnSubscribed(
        PermissionDeniedError(self->Reason("the broker refused a subscription", nullptr, code)));
  }
  static void OnDisconnect(void* context, MQTTAsync_successData5* /*data*/) {
    static_cast<State*>(context)->sink->OnDisconnected();
  }
  static void OnDisconnectFailure(void* context, MQTTAsync_failureData5* /*data*/) {
    static_cast<State*>(context)->sink->OnDisconnected();
  }

  Sink* sink;
  MQTTAsync handle = nullptr;

  std::mutex mutex;  // never held while Paho or the sink is called
  std::array<Slot, kSlots> slots;
  std::size_t used = 0;
  std::size_t held_bytes = 0;
  std::string tls_error;
  std::string server_reason;
};

namespace {

using State = PahoConnection::State;

MQTTProperty NumberProperty(MQTTPropertyCodes code, unsigned int value) {
  MQTTProperty property = {};
  property.identifier = code;
  property.value.integer4 = value;
  return property;
}

void SetTls(const MqttOptions& options, State* state, MQTTAsync_SSLOptions* tls) {
  tls->trustStore = options.ca_file.c_str();
  if (!options.certificate_file.empty()) {
    tls->keyStore = options.certificate_file.c_str();
    tls->privateKey = options.key_file.c_str();
  }
  tls->enableServerCertAuth = 1;
  tls->verify = 1;  // the certificate must name the host
  tls->disableDefaultTrustStore = 1;
  tls->ssl_error_cb = State::OnTlsError;
  tls->ssl_error_context = state;
}

int Connect(const MqttOptions& options, const MqttUri& uri, State* state) {
  MQTTAsync_connectOptions connect = MQTTAsync_connectOptions_initializer5;
  connect.keepAliveInterval = Seconds(options.keep_alive);
  connect.connectTimeout = Seconds(options.connect_timeout);
  connect.cleanstart = 1;
  connect.maxInflight = static_cast<int>(kSlots);
  connect.onSuccess5 = State::OnConnect;
  connect.onFailure5 = State::OnConnectFailure;
  connect.context = state;

  MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
  if (uri.tls) {
    SetTls(options, state, &tls);
    connect.ssl = &tls;
  }
  MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
  if (options.will) {
    will.topicName = options.will->topic.c_str();
    will.payload.data = options.will->payload.data();
    will.payload.len = static_cast<int>(options.will->payload.size());
    will.qos = options.will->qos;
    will.retained = options.will->retained ? 1 : 0;
    connect.will = &will;
  }
  // Paho takes the scheme off for one of the two only.
  const std::string proxy = options.proxy.substr(
      options.proxy.starts_with("http://") ? std::string_view("http://").size() : 0);
  if (!proxy.empty()) {
    connect.httpProxy = proxy.c_str();
    connect.httpsProxy = proxy.c_str();
  }
  // Topic and headers come on top of what a payload may have.
  constexpr unsigned int kHeaders = 4096;
  MQTTProperties properties = MQTTProperties_initializer;
  const MQTTProperty size =
      NumberProperty(MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE,
                     static_cast<unsigned int>(options.max_packet) + kHeaders);
  MQTTProperties_add(&properties, &size);
  connect.connectProperties = &properties;
  const int code = MQTTAsync_connect(state->handle, &connect);
  MQTTProperties_free(&properties);
  return code;
}

}  // namespace

Result<std::unique_ptr<PahoConnection>> PahoConnection::Open(const MqttOptions& options,
                                                             const MqttUri& uri, Sink* sink) {
  KeepLibraryRunning();
  auto state = std::make_unique<State>(sink);
  MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer5;
  create.maxBufferedMessages = static_cast<int>(2 * kSlots);
  int code =
      MQTTAsync_createWithOptions(&state->handle, PahoUri(uri).c_str(), options.client_id.c_str(),
                                  MQTTCLIENT_PERSISTENCE_NONE, nullptr, &create);
  if (code != MQTTASYNC_SUCCESS) return Err(PahoError(code, "cannot make an MQTT client"));
  MQTTAsync_setCallbacks(state->handle, state.get(), State::OnLost, State::OnArrived, nullptr);
  MQTTAsync_setDisconnected(state->handle, state.get(), State::OnServerDisconnect);
  code = Connect(options, uri, state.get());
  if (code != MQTTASYNC_SUCCESS) return Err(PahoError(code, "cannot connect to " + uri.Place()));
  return std::unique_ptr<PahoConnection>(new PahoConnection(std::move(state)));
}

PahoConnection::PahoConnection(std::unique_ptr<State> state) : state_(std::move(state)) {}
PahoConnection::~PahoConnection() = default;

bool PahoConnection::HasRoom() const {
  const std::lock_guard lock(state_->mutex);
  return state_->used < kSlots && state_->held_bytes < kMaxHeldBytes;
}

Status PahoConnection::Send(const MqttMessage& message) {
  const std::size_t bytes = message.topic.size() + message.payload.size();
  State::Slot* slot = state_->Take(bytes);
  if (slot == nullptr) return ResourceExhaustedError("too many messages are on their way");
  MQTTAsync_message paho = MQTTAsync_message_initializer;
  // Paho copies it.
  paho.payload = const_cast<char*>(message.payload.data());
  paho.payloadlen = static_cast<int>(message.payload.size());
  paho.qos = message.qos;
  paho.retained = message.retained ? 1 : 0;
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  response.onSuccess5 = State::OnSendSuccess;
  response.onFailure5 = State::OnSendFailure;
  response.context = slot;
  const int code = MQTTAsync_sendMessage(state_->handle, message.topic.c_str(), &paho, &response);
  if (code == MQTTASYNC_SUCCESS) return OkStatus();
  state_->GiveBack(slot);
  return PahoError(code, "cannot publish");
}

Status PahoConnection::Subscribe(const std::vector<MqttFilter>& filters) {
  std::vector<char*> topics;
  std::vector<int> qos;
  std::vector<MQTTSubscribe_options> subscribe(filters.size(), MQTTSubscribe_options_initializer);
  for (const MqttFilter& filter : filters) {
    topics.push_back(const_cast<char*>(filter.filter.c_str()));
    qos.push_back(filter.qos);
  }
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  response.onSuccess5 = State::OnSubscribeSuccess;
  response.onFailure5 = State::OnSubscribeFailure;
  response.context = state_.get();
  response.subscribeOptionsCount = static_cast<int>(subscribe.size());
  response.subscribeOptionsList = subscribe.data();
  const int code = MQTTAsync_subscribeMany(state_->handle, static_cast<int>(topics.size()),
                                           topics.data(), qos.data(), &response);
  return code == MQTTASYNC_SUCCESS ? OkStatus() : PahoError(code, "cannot subscribe");
}

Status PahoConnection::Unsubscribe(const std::string& filter) {
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  const int code = MQTTAsync_unsubscribe(state_->handle, filter.c_str(), &response);
  return code == MQTTASYNC_SUCCESS ? OkStatus() : PahoError(code, "cannot unsubscribe");
}

Status PahoConnection::Disconnect(bool with_will) {
  MQTTAsync_disconnectOptions disconnect = MQTTAsync_disconnectOptions_initializer5;
  disconnect.timeout = 1000;
  disconnect.reasonCode =
      with_will ? MQTTREASONCODE_DISCONNECT_WITH_WILL_MESSAGE : MQTTREASONCODE_NORMAL_DISCONNECTION;
  disconnect.onSuccess5 = State::OnDisconnect;
  disconnect.onFailure5 = State::OnDisconnectFailure;
  disconnect.context = state_.get();
  const int code = MQTTAsync_disconnect(state_->handle, &disconnect);
  return code == MQTTASYNC_SUCCESS ? OkStatus() : PahoError(code, "cannot disconnect");
}

}  // namespace selvedge

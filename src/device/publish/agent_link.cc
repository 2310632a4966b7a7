#include "device/publish/agent_link.h"

#include <fcntl.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "base/log.h"
#include "core/event_id.h"
#include "device/publish/event_ring.h"
#include "proto/run_link.pb.h"

namespace selvedge {
namespace {

constexpr Nanos kRepeatTrouble = 60 * kSecond;
// Stretches of numbers without a gap that are sent and not committed. Gaps come where the ring ran
// over; an agent that takes everything and commits nothing must not make this grow.
constexpr std::size_t kMaxStretches = 4096;

Nanos Now() {
  return Clock::System().Monotonic();
}

// The packet of one event, around the event's own bytes: FromRun{event: {number, event}}.
void WrapEvent(std::uint64_t number, const std::string& event, std::string* packet) {
  using google::protobuf::internal::WireFormatLite;
  using google::protobuf::io::CodedOutputStream;
  constexpr auto kBytes = WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
  const auto event_tag = WireFormatLite::MakeTag(v1::NumberedEvent::kEventFieldNumber, kBytes);
  const auto number_tag = WireFormatLite::MakeTag(v1::NumberedEvent::kNumberFieldNumber,
                                                  WireFormatLite::WIRETYPE_VARINT);
  const auto outer_tag = WireFormatLite::MakeTag(v1::FromRun::kEventFieldNumber, kBytes);
  const auto size = static_cast<std::uint32_t>(event.size());
  const std::size_t inner = CodedOutputStream::VarintSize32(number_tag) +
                            CodedOutputStream::VarintSize64(number) +
                            CodedOutputStream::VarintSize32(event_tag) +
                            CodedOutputStream::VarintSize32(size) + event.size();
  packet->resize(CodedOutputStream::VarintSize32(outer_tag) +
                 CodedOutputStream::VarintSize32(static_cast<std::uint32_t>(inner)) + inner);
  auto* at = reinterpret_cast<std::uint8_t*>(packet->data());
  at = CodedOutputStream::WriteVarint32ToArray(outer_tag, at);
  at = CodedOutputStream::WriteVarint32ToArray(static_cast<std::uint32_t>(inner), at);
  at = CodedOutputStream::WriteVarint32ToArray(number_tag, at);
  at = CodedOutputStream::WriteVarint64ToArray(number, at);
  at = CodedOutputStream::WriteVarint32ToArray(event_tag, at);
  at = CodedOutputStream::WriteVarint32ToArray(size, at);
  std::memcpy(at, event.data(), event.size());
}

}  // namespace

struct AgentLink::State {
  explicit State(AgentLinkOptions given)
      : options(std::move(given)),
        ring(options.ring_bytes, kMaxLinkEvent),
        random(EventIdGenerator::RandomSeed()) {
    EventIdGenerator ids(Clock::System(), EventIdGenerator::RandomSeed());
    run = ids.Next().text();
  }
  ~State() {
    if (fd >= 0) close(fd);
    if (wake >= 0) close(wake);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void Wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake, &one, sizeof one);
  }

  // Link's thread.
  void Run();
  bool Finished();
  void Wait();
  void Connect();
  void Disconnect(const char* why, int error);
  bool Talk();
  bool Send(const std::string& packet);
  bool SendHello();
  bool SendMetricsIfDue();
  bool SendEvents();
  bool Receive();
  void Commit(std::uint64_t through);
  void Sent(std::uint64_t number);
  void ReportLosses();

  const AgentLinkOptions options;
  EventRing ring;
  std::string run;
  int wake = -1;  // eventfd
  std::atomic<bool> idle{false};
  std::atomic<bool> closing{false};
  std::atomic<Nanos> close_deadline{0};
  std::atomic<bool> connected{false};
  std::atomic<std::uint64_t> refused{0};

  // Shared with readers of the counts, never with the decision thread.
  struct Stretch {
    std::uint64_t first;
    std::uint64_t last;
  };
  mutable std::mutex mutex;
  std::uint64_t through = 0;      // every number up to this is committed or lost
  std::uint64_t delivered = 0;    // of them committed
  std::deque<Stretch> in_flight;  // sent on this connection, not committed

  // Link's thread.
  int fd = -1;
  bool blocked = false;  // the socket takes no more for the moment
  bool final_metrics = false;
  Nanos next_connect = 0;
  Nanos next_metrics = 0;
  EventRing::Cursor cursor;
  std::uint64_t sent = 0;  // the last number sent on this connection
  std::string event;
  std::string packet;  // one that is not sent yet, else empty
  std::uint64_t packet_number = 0;
  std::mt19937_64 random;
  log::RateLimited trouble_log{kRepeatTrouble};
  log::RateLimited loss_log{10 * kSecond};
  std::uint64_t lost_reported = 0;

  std::thread thread;
  bool closed = false;
  Status close_status;

  Counts Read() const;
};

AgentLink::Counts AgentLink::State::Read() const {
  Counts counts;
  const std::lock_guard lock(mutex);
  const std::uint64_t gone = ring.oldest() - 1;  // before last(): it grows
  const std::uint64_t last = ring.last();
  const std::uint64_t past = std::max(through, gone);
  // What was overwritten while the agent has it in hand is not lost unless the link breaks.
  std::uint64_t pending = 0;
  for (const Stretch& stretch : in_flight) {
    if (stretch.first > gone) break;
    pending += std::min(stretch.last, gone) - stretch.first + 1;
  }
  counts.committed = delivered;
  counts.lost = past - delivered - pending + refused.load();
  counts.waiting = last - past + pending;
  counts.offered = counts.committed + counts.waiting + counts.lost;
  return counts;
}

// ---- Link's thread ----------------------------------------------------------------------------

void AgentLink::State::Run() {
  while (!Finished()) {
    if (fd < 0 && Now() >= next_connect) Connect();
    if (fd >= 0) (void)Talk();
    ReportLosses();
    if (!Finished()) Wait();
  }
  // The agent learns at once that this was all.
  if (fd >= 0) close(fd);
  fd = -1;
  connected = false;
}

bool AgentLink::State::Finished() {
  if (!closing.load()) return false;
  if (Now() >= close_deadline.load()) return true;
  return Read().waiting == 0 && (final_metrics || fd < 0);
}

// Until there is something to do: an event, an answer, room in the socket, or a time.
void AgentLink::State::Wait() {
  const Nanos now = Now();
  Nanos until = fd < 0 ? next_connect : next_metrics;
  if (closing.load()) until = std::min(until, close_deadline.load());
  // Only where an event could be sent at once is it worth being woken for one.
  const bool open = fd >= 0 && !blocked;
  idle.store(open, std::memory_order_seq_cst);
  const bool more = open && ring.last() > sent;
  const int timeout =
      more ? 0 : static_cast<int>(std::clamp<Nanos>((until - now) / kMillisecond + 1, 1, 10'000));
  pollfd waiting[2] = {{wake, POLLIN, 0},
                       {fd, static_cast<short>(POLLIN | (blocked ? POLLOUT : 0)), 0}};
  if (poll(waiting, fd >= 0 ? 2 : 1, timeout) > 0) {
    if ((waiting[0].revents & POLLIN) != 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = read(wake, &count, sizeof count);
    }
    if (fd >= 0 && waiting[1].revents != 0) blocked = false;
  }
  idle.store(false);
}

void AgentLink::State::Connect() {
  const auto jitter =
      static_cast<Nanos>(random() % static_cast<std::uint64_t>(options.retry_interval / 4 + 1));
  next_connect = Now() + options.retry_interval + jitter;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, options.socket.c_str(), options.socket.size() + 1);
  fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Disconnect("cannot make a socket", errno);
  // Room for a few of the largest packets.
  const int room = 4 * static_cast<int>(kMaxLinkPacket);
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Disconnect("the agent is not there yet; events wait in memory", errno);
  }
  blocked = false;
  packet.clear();
  cursor = {};
  {
    const std::lock_guard lock(mutex);
    sent = through;
  }
  next_metrics = 0;
  if (SendHello()) {
    connected = true;
    log::Debug("link", "connected to the agent", {{"socket", options.socket}});
  }
}

void AgentLink::State::Disconnect(const char* why, int error) {
  if (fd >= 0) close(fd);
  fd = -1;
  {
    // Whatever of them was overwritten will not be sent again: from now on it counts as lost,
    // although the agent may have it.
    const std::lock_guard lock(mutex);
    in_flight.clear();
  }
  connected = false;
  if (trouble_log.Allow(Now())) {
    log::Warning("link", why,
                 {{"socket", options.socket}, {"error", error != 0 ? std::strerror(error) : "-"}});
  }
}

bool AgentLink::State::Talk() {
  return Receive() && SendMetricsIfDue() && SendEvents();
}

// False where it did not go: `blocked` is set, or the link is gone.
bool AgentLink::State::Send(const std::string& bytes) {
  if (fd < 0 || blocked) return false;
  for (;;) {
    const ssize_t sent_bytes = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent_bytes >= 0) return true;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ENOBUFS) {
      blocked = true;
    } else {
      Disconnect("the link to the agent broke; it is made again", errno);
    }
    return false;
  }
}

bool AgentLink::State::SendHello() {
  v1::FromRun message;
  v1::Hello* hello = message.mutable_hello();
  hello->set_application(options.application);
  hello->set_service(options.service);
  hello->set_run(run);
  hello->set_pid(static_cast<std::uint32_t>(getpid()));
  hello->set_privacy(options.privacy);
  return Send(message.SerializeAsString());
}

bool AgentLink::State::SendMetricsIfDue() {
  const Counts counts = Read();
  // The last ones tell how it ended.
  const bool last = closing.load() && !final_metrics && counts.waiting == 0;
  if (!last && Now() < next_metrics) return true;
  v1::FromRun message;
  v1::PipelineMetrics* metrics = message.mutable_metrics();
  if (options.metrics) options.metrics(metrics);
  metrics->set_events_offered(counts.offered);
  metrics->set_events_lost(counts.lost);
  metrics->set_privacy(options.privacy);
  if (!Send(message.SerializeAsString())) return fd >= 0;
  next_metrics = Now() + options.metrics_interval;
  final_metrics = last || final_metrics;
  return true;
}

bool AgentLink::State::SendEvents() {
  // A bound, so that answers are read and metrics are sent however fast events come.
  for (int i = 0; i < 256; ++i) {
    if (packet.empty()) {
      if (!ring.Next(sent, &cursor, &packet_number, &event)) return true;
      WrapEvent(packet_number, event, &packet);
    }
    if (!Send(packet)) return fd >= 0;
    Sent(packet_number);
    packet.clear();
  }
  return true;
}

void AgentLink::State::Sent(std::uint64_t number) {
  sent = number;
  const std::lock_guard lock(mutex);
  if (!in_flight.empty() && in_flight.back().last + 1 == number) {
    in_flight.back().last = number;
    return;
  }
  if (in_flight.size() >= kMaxStretches) in_flight.pop_front();
  in_flight.push_back({number, number});
}

bool AgentLink::State::Receive() {
  char bytes[256];
  for (;;) {
    const ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) {
      Disconnect("the agent is gone; events wait in memory", got < 0 ? errno : 0);
      return false;
    }
    v1::FromAgent message;
    if (!message.ParseFromArray(bytes, static_cast<int>(got)) || message.committed() > sent) {
      Disconnect("the agent said what makes no sense; the link is made again", 0);
      return false;
    }
    Commit(message.committed());
  }
}

void AgentLink::State::Commit(std::uint64_t number) {
  const std::lock_guard lock(mutex);
  while (!in_flight.empty() && in_flight.front().first <= number) {
    Stretch& stretch = in_flight.front();
    const std::uint64_t end = std::min(stretch.last, number);
    delivered += end - stretch.first + 1;
    stretch.first = end + 1;
    if (stretch.first > stretch.last) in_flight.pop_front();
  }
  through = std::max(through, number);
}

void AgentLink::State::ReportLosses() {
  const std::uint64_t lost = Read().lost;
  if (lost <= lost_reported || !loss_log.Allow(Now())) return;
  log::Warning("link", "events were lost: the agent did not take them in time",
               {{"lost", lost - lost_reported}, {"lost_in_all", lost}});
  lost_reported = lost;
}

// ---- AgentLink --------------------------------------------------------------------------------

AgentLink::AgentLink(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<AgentLink>> AgentLink::Open(AgentLinkOptions options) {
  if (options.socket.empty() || options.socket.size() >= sizeof(sockaddr_un{}.sun_path)) {
    return Err(InvalidArgumentError("agent socket \"" + options.socket + "\": a path of 1 to " +
                                    std::to_string(sizeof(sockaddr_un{}.sun_path) - 1) +
                                    " characters is needed"));
  }
  auto state = std::make_unique<State>(std::move(options));
  state->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (state->wake < 0) return Err(ErrnoError(errno, "link: cannot make an eventfd"));
  // Signals are for the main thread.
  sigset_t all;
  sigset_t previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  state->thread = std::thread([shared = state.get()] {
    pthread_setname_np(pthread_self(), "agent-link");
    shared->Run();
  });
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  return std::unique_ptr<AgentLink>(new AgentLink(std::move(state)));
}

AgentLink::~AgentLink() {
  if (state_->closed) return;  // its owner knows how that went
  if (const Status status = Close(); !status.ok()) log::Warning("link", status.message());
}

void AgentLink::Offer(const v1::Event& event) {
  State& state = *state_;
  const std::size_t size = event.ByteSizeLong();
  const std::span<std::uint8_t> room = state.ring.Begin(size);
  if (room.size() != size || state.closing.load(std::memory_order_relaxed)) {
    state.refused.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  event.SerializeWithCachedSizesToArray(room.data());
  (void)state.ring.Commit();
  if (state.idle.load(std::memory_order_seq_cst) && state.idle.exchange(false)) state.Wake();
}

Status AgentLink::Close() {
  State& state = *state_;
  if (state.closed) return state.close_status;
  state.closed = true;
  state.close_deadline = Now() + state.options.close_timeout;
  state.closing = true;
  state.Wake();
  state.thread.join();
  const Counts counts = state.Read();
  if (const std::uint64_t lost = counts.lost + counts.waiting; lost > 0) {
    state.close_status =
        DataLossError(std::to_string(lost) + " of " + std::to_string(counts.offered) +
                      " events did not reach the agent");
  }
  return state.close_status;
}

AgentLink::Counts AgentLink::counts() const {
  return state_->Read();
}

bool AgentLink::connected() const {
  return state_->connected.load();
}

}  // namespace selvedge

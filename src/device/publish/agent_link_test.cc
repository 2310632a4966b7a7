#include "device/publish/agent_link.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <set>
#include <thread>

#include "base/allocation_counter.h"
#include "proto/run_link.pb.h"

namespace selvedge {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

template <typename Condition>
bool Eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// The agent's side, driven by hand.
class FakeAgent {
 public:
  explicit FakeAgent(std::string path) : path_(std::move(path)) { Listen(); }
  ~FakeAgent() { Die(); }

  void Listen() {
    unlink(path_.c_str());
    listener_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_, 4), 0);
  }
  void Accept() {
    fd_ = accept(listener_, nullptr, nullptr);
    EXPECT_GE(fd_, 0);
  }
  // As a SIGKILL does.
  void Die() {
    if (fd_ >= 0) close(fd_);
    if (listener_ >= 0) close(listener_);
    fd_ = listener_ = -1;
  }
  void Say(const std::string& bytes) { EXPECT_GT(send(fd_, bytes.data(), bytes.size(), 0), 0); }
  void Commit(std::uint64_t through) {
    v1::FromAgent message;
    message.set_committed(through);
    Say(message.SerializeAsString());
  }
  // The next packet; not set where none came or the link ended.
  v1::FromRun Read() {
    pollfd waiting{fd_, POLLIN, 0};
    if (poll(&waiting, 1, 20'000) <= 0) return {};
    std::string packet(kMaxLinkPacket + 1, 0);
    const ssize_t got = recv(fd_, packet.data(), packet.size(), 0);
    v1::FromRun message;
    EXPECT_LE(got, static_cast<ssize_t>(kMaxLinkPacket));
    if (got > 0) {
      EXPECT_TRUE(message.ParseFromArray(packet.data(), static_cast<int>(got)));
    }
    return message;
  }
  // The next packet that is an event; metrics in between are kept.
  v1::NumberedEvent ReadEvent() {
    for (;;) {
      v1::FromRun message = Read();
      if (message.has_metrics()) {
        metrics = message.metrics();
        continue;
      }
      EXPECT_TRUE(message.has_event()) << message.ShortDebugString();
      return message.event();
    }
  }

  v1::PipelineMetrics metrics;

 private:
  std::string path_;
  int listener_ = -1;
  int fd_ = -1;
};

class AgentLinkTest : public ::testing::Test {
 protected:
  AgentLinkTest()
      : folder_(fs::temp_directory_path() / ("selvedge-link-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
    options_.socket = folder_ / "agent.sock";
    options_.application = "app";
    options_.service = "service";
    options_.privacy = "local-only";
    options_.retry_interval = 5 * kMillisecond;
  }
  ~AgentLinkTest() override { fs::remove_all(folder_); }

  std::unique_ptr<AgentLink> Open() {
    auto link = AgentLink::Open(options_);
    EXPECT_TRUE(link) << (link ? "" : link.error().ToString());
    return *std::move(link);
  }

  void Offer(AgentLink* link, int first, int last, std::size_t padding = 0) {
    v1::Event event;
    event.set_source(std::string(padding, 'x'));
    for (int n = first; n <= last; ++n) {
      event.set_frame(static_cast<std::uint64_t>(n));
      link->Offer(event);
    }
  }

  void ExpectBalanced(const AgentLink::Counts& counts) {
    EXPECT_EQ(counts.offered, counts.committed + counts.waiting + counts.lost);
  }

  fs::path folder_;
  AgentLinkOptions options_;
};

TEST_F(AgentLinkTest, SaysHelloAndSendsEventsInOrderUntilTheyAreCommitted) {
  FakeAgent agent(options_.socket);
  auto link = Open();
  agent.Accept();
  const v1::FromRun hello = agent.Read();
  ASSERT_TRUE(hello.has_hello());
  EXPECT_EQ(hello.hello().application(), "app");
  EXPECT_EQ(hello.hello().service(), "service");
  EXPECT_EQ(hello.hello().privacy(), "local-only");
  EXPECT_EQ(hello.hello().run().size(), 26u);
  EXPECT_EQ(hello.hello().pid(), static_cast<std::uint32_t>(getpid()));
  Offer(link.get(), 1, 100);
  for (std::uint64_t n = 1; n <= 100; ++n) {
    const v1::NumberedEvent event = agent.ReadEvent();
    EXPECT_EQ(event.number(), n);
    EXPECT_EQ(event.event().frame(), n);
  }
  EXPECT_EQ(link->counts().waiting, 100u);
  agent.Commit(60);
  EXPECT_TRUE(Eventually([&] { return link->counts().committed == 60; }));
  agent.Commit(100);
  EXPECT_TRUE(link->Close().ok());
  EXPECT_TRUE(link->Close().ok());
  EXPECT_EQ(link->counts().committed, 100u);
  EXPECT_EQ(link->counts().lost, 0u);
}

TEST_F(AgentLinkTest, TellsHowThePipelineDoesAndAtTheEndOnceMore) {
  options_.metrics_interval = 10 * kMillisecond;
  std::atomic<int> calls{0};
  options_.metrics = [&](v1::PipelineMetrics* metrics) { metrics->set_frames_per_second(++calls); };
  FakeAgent agent(options_.socket);
  auto link = Open();
  agent.Accept();
  EXPECT_TRUE(agent.Read().has_hello());
  for (int i = 0; i < 3; ++i) {
    const v1::FromRun message = agent.Read();
    ASSERT_TRUE(message.has_metrics());
    EXPECT_EQ(message.metrics().frames_per_second(), i + 1);
    EXPECT_EQ(message.metrics().privacy(), "local-only");
  }
  Offer(link.get(), 1, 1);
  EXPECT_EQ(agent.ReadEvent().number(), 1u);
  agent.Commit(1);
  EXPECT_TRUE(link->Close().ok());
  v1::FromRun last;
  for (v1::FromRun message = agent.Read(); message.has_metrics(); message = agent.Read()) {
    last = message;
  }
  EXPECT_EQ(last.metrics().frames_per_second(), calls.load());
  EXPECT_EQ(last.metrics().events_offered(), 1u);
  EXPECT_EQ(last.metrics().events_lost(), 0u);
}

TEST_F(AgentLinkTest, AKilledAgentComesBackAndGetsWhatItHadNotCommitted) {
  auto agent = std::make_unique<FakeAgent>(options_.socket);
  auto link = Open();
  agent->Accept();
  const std::string run = agent->Read().hello().run();
  Offer(link.get(), 1, 10);
  for (int i = 0; i < 10; ++i) agent->ReadEvent();
  agent->Commit(4);
  ASSERT_TRUE(Eventually([&] { return link->counts().committed == 4; }));
  agent->Die();
  Offer(link.get(), 11, 12);
  ASSERT_TRUE(Eventually([&] { return !link->connected(); }));
  agent->Listen();
  agent->Accept();
  EXPECT_EQ(agent->Read().hello().run(), run);
  for (std::uint64_t n = 5; n <= 12; ++n) EXPECT_EQ(agent->ReadEvent().number(), n);
  agent->Commit(12);
  EXPECT_TRUE(link->Close().ok());
  EXPECT_EQ(link->counts().committed, 12u);
}

TEST_F(AgentLinkTest, WithoutAnAgentTheOldestGoAndAreCounted) {
  options_.ring_bytes = 16 * 1024;
  auto link = Open();
  Offer(link.get(), 1, 1000, 100);
  const AgentLink::Counts before = link->counts();
  ExpectBalanced(before);
  EXPECT_EQ(before.offered, 1000u);
  EXPECT_GT(before.lost, 800u);
  FakeAgent agent(options_.socket);
  agent.Accept();
  EXPECT_TRUE(agent.Read().has_hello());
  for (std::uint64_t n = before.lost + 1; n <= 1000; ++n) EXPECT_EQ(agent.ReadEvent().number(), n);
  agent.Commit(1000);
  ASSERT_TRUE(Eventually([&] { return link->counts().waiting == 0; }));
  const AgentLink::Counts counts = link->counts();
  EXPECT_EQ(counts.lost, before.lost);
  EXPECT_EQ(counts.committed, 1000 - before.lost);
  const Status closed = link->Close();
  EXPECT_EQ(closed.code(), StatusCode::kDataLoss);
  EXPECT_THAT(closed.message(), HasSubstr(std::to_string(before.lost) + " of 1000"));
}

// Whatever a slow agent does not get is counted, and what it got and committed is not.
TEST_F(AgentLinkTest, ASlowAgentLosesNothingThatIsNotCounted) {
  options_.ring_bytes = 64 * 1024;
  FakeAgent agent(options_.socket);
  auto link = Open();
  agent.Accept();
  EXPECT_TRUE(agent.Read().has_hello());
  constexpr int kEvents = 20'000;
  std::thread writer([&] { Offer(link.get(), 1, kEvents, 200); });
  std::set<std::uint64_t> got;
  while (got.empty() || *got.rbegin() < kEvents) {
    const v1::NumberedEvent event = agent.ReadEvent();
    ASSERT_EQ(event.number(), event.event().frame());
    ASSERT_TRUE(got.insert(event.number()).second);
    if (got.size() % 50 == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      agent.Commit(event.number());
    }
  }
  writer.join();
  agent.Commit(kEvents);
  ASSERT_TRUE(Eventually([&] { return link->counts().waiting == 0; }));
  const AgentLink::Counts counts = link->counts();
  EXPECT_EQ(counts.offered, static_cast<std::uint64_t>(kEvents));
  EXPECT_EQ(counts.committed, got.size());
  EXPECT_EQ(counts.lost, kEvents - got.size());
}

TEST_F(AgentLinkTest, AnAgentThatTakesNothingDoesNotDelayTheEndForLong) {
  options_.close_timeout = 50 * kMillisecond;
  FakeAgent agent(options_.socket);
  auto link = Open();
  agent.Accept();
  Offer(link.get(), 1, 5000, 1000);
  const Status closed = link->Close();
  EXPECT_EQ(closed.code(), StatusCode::kDataLoss);
  EXPECT_THAT(closed.message(), HasSubstr("5000 of 5000"));
}

TEST_F(AgentLinkTest, AnEventThatIsTooLargeIsRefusedAndCounted) {
  FakeAgent agent(options_.socket);
  auto link = Open();
  agent.Accept();
  EXPECT_TRUE(agent.Read().has_hello());
  v1::Event event;
  event.set_source(std::string(kMaxLinkEvent, 'x'));
  link->Offer(event);
  event.set_source(std::string(kMaxLinkEvent - 4, 'x'));  // with its tag and length
  ASSERT_EQ(event.ByteSizeLong(), kMaxLinkEvent);
  link->Offer(event);
  const v1::NumberedEvent got = agent.ReadEvent();
  EXPECT_EQ(got.number(), 1u);
  EXPECT_EQ(got.event().source().size(), kMaxLinkEvent - 4);
  agent.Commit(1);
  ASSERT_TRUE(Eventually([&] { return link->counts().committed == 1; }));
  EXPECT_EQ(link->counts().lost, 1u);
  EXPECT_EQ(link->counts().offered, 2u);
}

TEST_F(AgentLinkTest, AnAgentThatTalksNonsenseIsLeftAndTriedAgain) {
  FakeAgent agent(options_.socket);
  auto link = Open();
  for (const char* nonsense : {"\xff\xff\xff", "\x08\x7f"}) {
    agent.Accept();
    EXPECT_TRUE(agent.Read().has_hello());
    agent.Say(nonsense);  // no message; a commit of what was never sent
  }
  agent.Accept();
  EXPECT_TRUE(agent.Read().has_hello());
  EXPECT_TRUE(link->Close().ok());
}

TEST_F(AgentLinkTest, RefusesAPathThatNoSocketCanHave) {
  options_.socket = std::string(200, 'x');
  const auto link = AgentLink::Open(options_);
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().code(), StatusCode::kInvalidArgument);
}

TEST_F(AgentLinkTest, OfferAllocatesNothing) {
#ifdef SELVEDGE_SANITIZED
  GTEST_SKIP() << "sanitizers replace operator new";
#endif
  auto link = Open();
  v1::Event event;
  for (int i = 0; i < 20; ++i) event.add_detections()->set_label("person");
  link->Offer(event);
  const std::uint64_t before = AllocationsOfThisThread();
  for (int i = 0; i < 50'000; ++i) link->Offer(event);
  EXPECT_EQ(AllocationsOfThisThread() - before, 0u);
}

}  // namespace
}  // namespace selvedge

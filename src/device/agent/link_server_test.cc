#include "device/agent/link_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

namespace selvedge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class LinkServerTest : public ::testing::Test {
 protected:
  LinkServerTest()
      : folder_(fs::temp_directory_path() / ("selvedge-links-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~LinkServerTest() override { fs::remove_all(folder_); }

  void Open() {
    LinkServer::Handler handler;
    handler.known = [](const ServiceKey& key) { return key.application == "app"; };
    handler.metrics = [this](const ServiceKey& key, const v1::PipelineMetrics& metrics) {
      heard_.push_back(key.ToString() + " " + metrics.model());
    };
    handler.events = [this](const std::vector<OutboxRecord>& records) {
      if (answer_.ok()) records_.insert(records_.end(), records.begin(), records.end());
      return answer_;
    };
    auto server = LinkServer::Open(folder_ / "agent.sock", "jetson-1", std::move(handler));
    ASSERT_TRUE(server) << server.error().message();
    server_ = *std::move(server);
  }

  int Connect() {
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (folder_ / "agent.sock").c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  // Lets the server take everything that was sent.
  void Serve() {
    for (;;) {
      pollfd waiting{server_->descriptor(), POLLIN, 0};
      if (poll(&waiting, 1, 0) <= 0) return;
      server_->Receive();
    }
  }
  void Send(int fd, const v1::FromRun& message) {
    const std::string bytes = message.SerializeAsString();
    ASSERT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void Hello(int fd, const std::string& application = "app", const std::string& privacy = "") {
    v1::FromRun message;
    message.mutable_hello()->set_application(application);
    message.mutable_hello()->set_service("svc");
    message.mutable_hello()->set_privacy(privacy);
    Send(fd, message);
  }
  void Event(int fd, std::uint64_t number, const std::string& id) {
    v1::FromRun message;
    message.mutable_event()->set_number(number);
    message.mutable_event()->mutable_event()->set_id(id);
    message.mutable_event()->mutable_event()->set_device("somebody-else");
    Send(fd, message);
  }
  // What the server answered: a number, or -1 where the link was closed, -2 where there is nothing.
  std::int64_t Answer(int fd) {
    char bytes[64];
    const ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got == 0) return -1;
    if (got < 0) return errno == EAGAIN ? -2 : -1;
    v1::FromAgent message;
    EXPECT_TRUE(message.ParseFromArray(bytes, static_cast<int>(got)));
    return static_cast<std::int64_t>(message.committed());
  }

  const fs::path folder_;
  std::unique_ptr<LinkServer> server_;
  std::vector<std::string> heard_;
  std::vector<OutboxRecord> records_;
  Status answer_;
};

TEST_F(LinkServerTest, EventsAreCommittedTogetherAndAnsweredWithTheLast) {
  Open();
  const int fd = Connect();
  Hello(fd);
  for (std::uint64_t n = 1; n <= 100; ++n) Event(fd, n, "id" + std::to_string(n));
  Serve();
  EXPECT_EQ(records_.size(), 100u);
  std::int64_t last = -2;
  for (std::int64_t got = Answer(fd); got != -2; got = Answer(fd)) last = got;
  EXPECT_EQ(last, 100);
  // Whatever the pipeline says, the event is this device's.
  v1::Event event;
  ASSERT_TRUE(event.ParseFromString(records_[0].body));
  EXPECT_EQ(event.device(), "jetson-1");
  close(fd);
}

TEST_F(LinkServerTest, WhatCouldNotBeKeptIsNotAnswered) {
  Open();
  answer_ = ResourceExhaustedError("the disk is full");
  const int fd = Connect();
  Hello(fd);
  Event(fd, 1, "a");
  Serve();
  EXPECT_EQ(Answer(fd), -1);  // the pipeline connects anew and offers it again
  close(fd);
  answer_ = OkStatus();
  const int again = Connect();
  Hello(again);
  Event(again, 1, "a");
  Serve();
  EXPECT_EQ(Answer(again), 1);
  EXPECT_EQ(records_.size(), 1u);
  close(again);
}

TEST_F(LinkServerTest, MetricsAndPrivacyBelongToTheirService) {
  Open();
  const int fd = Connect();
  Hello(fd, "app", "frames");
  v1::FromRun message;
  message.mutable_metrics()->set_model("m 1");
  Send(fd, message);
  Serve();
  EXPECT_THAT(heard_, ElementsAre("app/svc m 1"));
  EXPECT_EQ(server_->PrivacyOf({"app", "svc"}), "frames");
  EXPECT_EQ(server_->PrivacyOf({"app", "other"}), "local-only");
  close(fd);
  Serve();
  EXPECT_EQ(server_->PrivacyOf({"app", "svc"}), "local-only");
}

TEST_F(LinkServerTest, WhoIsNotKnownOrTalksNonsenseIsLetGo) {
  Open();
  const int stranger = Connect();
  Hello(stranger, "other");
  Serve();
  EXPECT_EQ(Answer(stranger), -1);
  const int rude = Connect();
  Event(rude, 1, "a");  // without Hello
  Serve();
  EXPECT_EQ(Answer(rude), -1);
  const int mad = Connect();
  Hello(mad);
  ASSERT_GT(send(mad, "\xff\xff\xff", 3, MSG_NOSIGNAL), 0);
  Serve();
  EXPECT_EQ(Answer(mad), -1);
  EXPECT_TRUE(records_.empty());
  for (const int fd : {stranger, rude, mad}) close(fd);
}

TEST_F(LinkServerTest, APacketAboveTheLimitClosesTheLink) {
  Open();
  const int fd = Connect();
  const int room = 4 * 1024 * 1024;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  Hello(fd);
  Event(fd, 1, std::string(150 * 1024, 'x'));
  Serve();
  EXPECT_EQ(Answer(fd), -1);
  EXPECT_TRUE(records_.empty());
  close(fd);
}

TEST_F(LinkServerTest, WhatWasSaidBeforeALinkEndedCounts) {
  Open();
  const int fd = Connect();
  Hello(fd);
  Event(fd, 1, "a");
  close(fd);
  Serve();
  EXPECT_EQ(records_.size(), 1u);
}

TEST_F(LinkServerTest, ManyLinksAreServedAndTooManyAreRefused) {
  Open();
  std::vector<int> links;
  for (std::size_t i = 0; i < LinkServer::kMaxLinks; ++i) {
    links.push_back(Connect());
    Hello(links.back());
    Serve();
  }
  const int one_more = Connect();
  Serve();
  EXPECT_EQ(Answer(one_more), -1);
  Event(links.back(), 1, "a");
  Serve();
  EXPECT_EQ(Answer(links.back()), 1);
  close(one_more);
  for (const int fd : links) close(fd);
}

TEST_F(LinkServerTest, ASocketThatWasLeftBehindIsReplaced) {
  Open();
  server_.reset();
  Open();
  const int fd = Connect();
  Hello(fd);
  Event(fd, 1, "a");
  Serve();
  EXPECT_EQ(Answer(fd), 1);
  close(fd);
}

TEST_F(LinkServerTest, APathThatNoSocketCanHaveSaysSo) {
  const auto server = LinkServer::Open("/tmp/" + std::string(200, 'x'), "d", {});
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().message(), HasSubstr("shorter state folder"));
}

}  // namespace
}  // namespace selvedge

// What runs in the containers of this test: one static executable, told by its first argument. It
// tries what a container must not be able to do, so it does nothing outside of one.

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

extern char** environ;

namespace {

std::string Read(const char* path) {
  std::string content;
  if (FILE* file = fopen(path, "r")) {
    char piece[4096];
    while (const std::size_t size = fread(piece, 1, sizeof piece, file))
      content.append(piece, size);
    fclose(file);
  }
  return content;
}

const char* Outcome(bool done) {
  return done ? "yes" : "no";
}

bool CanWrite(const char* path) {
  const int file = open(path, O_WRONLY | O_CREAT, 0600);
  if (file < 0) return false;
  close(file);
  return true;
}

// Everything that a container should or should not be able to do, a line each.
int Show() {
  printf("uid=%d gid=%d pid=%d\n", getuid(), getgid(), getpid());
  char host[64] = {};
  gethostname(host, sizeof host - 1);
  printf("host=%s\n", host);
  for (char** entry = environ; *entry != nullptr; ++entry) printf("env %s\n", *entry);
  const char* config = getenv("SELVEDGE_CONFIG_FILE");
  printf("config=%s\n", Read(config != nullptr ? config : "/none").c_str());
  printf("volume=%s\n", Read("/models/name").c_str());
  printf("write-root=%s\n", Outcome(CanWrite("/planted")));
  printf("write-tmp=%s\n", Outcome(CanWrite("/tmp/planted")));
  printf("write-data=%s\n", Outcome(CanWrite("/data/planted")));
  printf("data-copied=%s\n", Read("/data/from-image").c_str());
  printf("write-volume=%s\n", Outcome(CanWrite("/models/planted")));
  printf("mount=%s\n", Outcome(mount("none", "/tmp", "tmpfs", 0, nullptr) == 0));
  printf("unshare=%s\n", Outcome(unshare(CLONE_NEWUSER) == 0));
  printf("raw-socket=%s\n", Outcome(socket(AF_INET, SOCK_RAW, 1) >= 0));
  printf("disk-device=%s\n",
         Outcome(access("/dev/sda", F_OK) == 0 || access("/dev/vda", F_OK) == 0));
  printf("null=%s\n", Outcome(CanWrite("/dev/null")));
  printf("no-new-privileges=%s\n",
         Outcome(Read("/proc/self/status").find("NoNewPrivs:\t1") != std::string::npos));
  int thread = 0;
  std::thread([&] { thread = 1; }).join();
  printf("thread=%s\n", Outcome(thread == 1));
  return 0;
}

// 8 MiB at a time, until the kernel ends it; as many as it got before.
int Eat() {
  for (int i = 1; i <= 64; ++i) {
    char* piece = static_cast<char*>(malloc(8 << 20));
    if (piece == nullptr) return 3;
    memset(piece, i, 8 << 20);
    printf("%d MiB\n", i * 8);
    fflush(stdout);
  }
  return 0;
}

// Processes that wait; how many it got.
int Fork() {
  int count = 0;
  while (count < 5000) {
    const pid_t child = fork();
    if (child == 0) pause();
    if (child < 0) break;
    ++count;
  }
  printf("forked=%d\n", count);
  return 0;
}

int volatile stopped = 0;

// Answers on the port, and ends with 7 when asked to.
int Serve(const char* port) {
  struct sigaction action{};
  action.sa_handler = [](int) { stopped = 1; };
  sigaction(SIGTERM, &action, nullptr);
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(atoi(port)));
  socklen_t size = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener, 8) != 0) {
    perror("listen");
    return 1;
  }
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  printf("port=%d\n", ntohs(address.sin_port));
  fflush(stdout);
  while (stopped == 0) {
    const int client = accept(listener, nullptr, nullptr);
    if (client < 0) continue;
    char request[1024];
    if (read(client, request, sizeof request) > 0) {
      const char answer[] =
          "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n";
      if (write(client, answer, sizeof answer - 1) < 0) perror("write");
    }
    close(client);
  }
  printf("stopped\n");
  return 7;
}

}  // namespace

int main(int count, char** arguments) {
  // The first process of its own process namespace: what it tries here stays here.
  if (getpid() != 1) {
    fprintf(stderr, "payload: runs in a container only\n");
    return 2;
  }
  const std::string what = count > 1 ? arguments[1] : "";
  if (what == "show") return Show();
  if (what == "eat") return Eat();
  if (what == "fork") return Fork();
  if (what == "serve") return Serve(count > 2 ? arguments[2] : "0");
  fprintf(stderr, "payload: show, eat, fork or serve PORT\n");
  return 2;
}

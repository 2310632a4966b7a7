#include "sim/loop.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

namespace selvedge {
namespace {

void Keep(std::deque<std::string>* steps, std::string step) {
  steps->push_back(std::move(step));
  if (steps->size() > SimLoop::kLastSteps) steps->pop_front();
}

}  // namespace

std::int64_t SimRandom::Between(std::int64_t low, std::int64_t high) {
  const auto span = static_cast<std::uint64_t>(high - low) + 1;
  return low + static_cast<std::int64_t>(engine_() % span);
}

double SimRandom::Unit() {
  return static_cast<double>(engine_() >> 11) / 9007199254740992.0;  // 2^53
}

void SimLoop::After(Nanos delay, std::function<void()> what) {
  planned_.push({now() + delay, order_++, std::move(what)});
}

void SimLoop::RunUntil(Nanos until) {
  while (!planned_.empty() && planned_.top().at <= until) {
    const Planned next = planned_.top();
    planned_.pop();
    if (next.at > now()) clock_.Advance(next.at - now());
    next.what();
  }
  if (until > now()) clock_.Advance(until - now());
}

void SimLoop::Note(std::string_view subject, std::string_view what) {
  ++steps_;
  std::string step = fmt::format("{:10.3f} {}: {}", ToSeconds(now()), subject, what);
  if (!trace_.empty() && (trace_ == "*" || trace_ == subject)) {
    std::fputs((step + "\n").c_str(), stderr);
  }
  for (const char c : step) {  // FNV-1a
    fingerprint_ = (fingerprint_ ^ static_cast<unsigned char>(c)) * 1099511628211U;
  }
  auto of = last_of_.find(subject);
  if (of == last_of_.end()) of = last_of_.try_emplace(std::string(subject)).first;
  Keep(&of->second, step);
  Keep(&last_, std::move(step));
}

std::string SimLoop::LastSteps(std::string_view subject) const {
  const std::deque<std::string>* steps = &last_;
  if (!subject.empty()) {
    const auto of = last_of_.find(subject);
    if (of == last_of_.end()) return fmt::format("(nothing happened to {})\n", subject);
    steps = &of->second;
  }
  std::string text;
  for (const std::string& step : *steps) text.append(step).append("\n");
  return text;
}

}  // namespace selvedge

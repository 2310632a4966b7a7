#pragma once

// Metrics: counters, gauges and histograms, rendered as OpenMetrics text (the OpenMetrics 1.0
// specification).
//
// A metric is made once at start-up (that allocates) and updated on hot paths by relaxed atomics:
// no lock, no allocation. References stay valid for the life of the Registry. Thread-safe
// throughout. Names: `selvedge_<part>_<what>_<unit>`, base units (seconds, bytes); counters are
// named without `_total`, which the rendering adds.

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace selvedge {

class Counter {
 public:
  void Add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void Set(double v) { value_.store(v, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// Cumulative buckets with fixed upper bounds (ascending, +Inf implied).
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds);
  void Observe(double v);

  std::uint64_t count() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }
  std::span<const double> bounds() const { return bounds_; }
  // Observations at or below bounds()[i] but above bounds()[i-1]; index bounds().size() is +Inf.
  std::uint64_t bucket(std::size_t i) const { return buckets_[i].load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::vector<std::atomic<std::uint64_t>> buckets_;
  std::atomic<double> sum_{0};
};

// 1 ms to 10 s in steps that resolve a 50 ms objective.
std::span<const double> LatencySecondsBounds();

// OpenMetrics for who asks for it; Prometheus' older text format for who does not (curl, a browser,
// promtool).
enum class MetricsFormat { kOpenMetrics, kPrometheusText };
// The format for a request's Accept header.
MetricsFormat NegotiateMetricsFormat(std::string_view accept);
// The Content-Type of what Render gives.
std::string_view MetricsContentType(MetricsFormat format);

class MetricsRegistry {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  MetricsRegistry();
  ~MetricsRegistry();
  MetricsRegistry(const MetricsRegistry&) = delete;
  MetricsRegistry& operator=(const MetricsRegistry&) = delete;

  // The metric of this name and these labels, made if new. The same name with another type, or a
  // name or label that OpenMetrics does not allow, is a programming error and aborts.
  Counter& AddCounter(std::string_view name, std::string_view help, Labels labels = {});
  Gauge& AddGauge(std::string_view name, std::string_view help, Labels labels = {});
  Histogram& AddHistogram(std::string_view name, std::string_view help,
                          std::span<const double> bounds, Labels labels = {});

  // OpenMetrics text, ending in `# EOF` (or Prometheus text, without); families in the order of
  // their first registration.
  std::string Render(MetricsFormat format = MetricsFormat::kOpenMetrics) const;
  // Content-Type of Render().
  static constexpr std::string_view kContentType =
      "application/openmetrics-text; version=1.0.0; charset=utf-8";

 private:
  struct Family;
  Family& GetFamily(std::string_view name, std::string_view help, int type);

  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Family>> families_;
};

}  // namespace selvedge

#include "base/metrics.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

namespace selvedge {
namespace {

enum Type { kCounterType, kGaugeType, kHistogramType };

[[noreturn]] void Abort(std::string_view name, std::string_view why) {
  std::fprintf(stderr, "metric %.*s: %.*s\n", static_cast<int>(name.size()), name.data(),
               static_cast<int>(why.size()), why.data());
  std::abort();
}

bool IsName(std::string_view name, bool colon_allowed) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) != 0) return false;
  return std::ranges::all_of(name, [&](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || (colon_allowed && c == ':');
  });
}

void CheckLabels(std::string_view name, const MetricsRegistry::Labels& labels) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::string& label = labels[i].first;
    if (!IsName(label, false)) Abort(name, "label '" + label + "' is not a valid name");
    if (label.starts_with("__") || label == "le") Abort(name, "label '" + label + "' is reserved");
    for (std::size_t j = 0; j < i; ++j) {
      if (labels[j].first == label) Abort(name, "label '" + label + "' is there twice");
    }
  }
}

// A float in OpenMetrics' canonical form ("Considerations: Canonical Numbers"): shortest digits
// that read back the same, always with a point or an exponent, an exponent of two digits below 1e-4
// and from 1e6.
void AppendFloat(std::string* out, double value) {
  if (std::isnan(value)) {
    out->append("NaN");
    return;
  }
  if (std::isinf(value)) {
    out->append(value > 0 ? "+Inf" : "-Inf");
    return;
  }
  char buffer[400];
  const double magnitude = std::fabs(value);
  const bool fixed = magnitude == 0 || (magnitude >= 1e-4 && magnitude < 1e6);
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value,
                                 fixed ? std::chars_format::fixed : std::chars_format::scientific)
                       .ptr;
  const std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  out->append(text);
  if (fixed && text.find('.') == std::string_view::npos) out->append(".0");
}

// Label values and help texts: backslash, quote and line feed are escaped.
void AppendEscaped(std::string* out, std::string_view text, bool escape_quote) {
  for (const char c : text) {
    if (c == '\\') {
      out->append("\\\\");
    } else if (c == '\n') {
      out->append("\\n");
    } else if (c == '"' && escape_quote) {
      out->append("\\\"");
    } else {
      out->push_back(c);
    }
  }
}

std::string RenderLabels(const MetricsRegistry::Labels& labels) {
  std::string text;
  for (const auto& [key, value] : labels) {
    if (!text.empty()) text += ',';
    text += key + "=\"";
    AppendEscaped(&text, value, true);
    text += '"';
  }
  return text;
}

void AppendSample(std::string* out, std::string_view name, std::string_view suffix,
                  std::string_view labels, std::string_view extra = {}) {
  out->append(name).append(suffix);
  if (!labels.empty() || !extra.empty()) {
    out->append("{").append(labels);
    if (!labels.empty() && !extra.empty()) out->push_back(',');
    out->append(extra).append("}");
  }
  out->push_back(' ');
}

void AppendHistogram(std::string* out, std::string_view name, std::string_view labels,
                     const Histogram& histogram) {
  const std::span<const double> bounds = histogram.bounds();
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i <= bounds.size(); ++i) {
    cumulative += histogram.bucket(i);
    std::string le = "le=\"";
    AppendFloat(&le, i < bounds.size() ? bounds[i] : HUGE_VAL);
    AppendSample(out, name, "_bucket", labels, le + '"');
    out->append(std::to_string(cumulative)).push_back('\n');
  }
  // The count is that of the buckets just printed, even while others observe.
  AppendSample(out, name, "_count", labels);
  out->append(std::to_string(cumulative)).push_back('\n');
  AppendSample(out, name, "_sum", labels);
  AppendFloat(out, histogram.sum());
  out->push_back('\n');
}

std::string_view UnitOf(std::string_view name) {
  for (std::string_view unit : {"seconds", "bytes", "ratio", "pixels"}) {
    if (name.size() > unit.size() && name.ends_with(unit) &&
        name[name.size() - unit.size() - 1] == '_') {
      return unit;
    }
  }
  return {};
}

}  // namespace

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()), buckets_(bounds.size() + 1) {}

void Histogram::Observe(double v) {
  if (std::isnan(v)) return;  // would poison the sum for ever
  const auto at = std::ranges::lower_bound(bounds_, v) - bounds_.begin();
  buckets_[static_cast<std::size_t>(at)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(v, std::memory_order_relaxed);
}

std::uint64_t Histogram::count() const {
  std::uint64_t total = 0;
  for (const auto& bucket : buckets_) total += bucket.load(std::memory_order_relaxed);
  return total;
}

std::span<const double> LatencySecondsBounds() {
  static constexpr double kBounds[] = {0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025,
                                       0.03,  0.04,  0.05,  0.06, 0.08,  0.1,  0.15,
                                       0.2,   0.5,   1,     2,    5,     10};
  return kBounds;
}

struct MetricsRegistry::Family {
  struct Metric {
    std::string labels;  // rendered
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Gauge> gauge;
    std::unique_ptr<Histogram> histogram;
  };

  std::string name;
  std::string help;
  int type;
  std::vector<std::unique_ptr<Metric>> metrics;

  // The metric with these labels; new ones hold nothing yet.
  Metric& Get(const Labels& labels) {
    CheckLabels(name, labels);
    std::string rendered = RenderLabels(labels);
    for (const auto& metric : metrics) {
      if (metric->labels == rendered) return *metric;
    }
    metrics.push_back(std::make_unique<Metric>());
    metrics.back()->labels = std::move(rendered);
    return *metrics.back();
  }

  void AppendHeader(std::string* out, MetricsFormat format) const {
    const bool open = format == MetricsFormat::kOpenMetrics;
    static constexpr std::string_view kTypes[] = {"counter", "gauge", "histogram"};
    // Prometheus' own text format calls the family as its samples are called.
    const std::string family = name + (!open && type == kCounterType ? "_total" : "");
    out->append("# TYPE ").append(family).append(" ").append(kTypes[type]).append("\n");
    const std::string_view unit = UnitOf(name);
    if (open && !unit.empty())
      out->append("# UNIT ").append(family).append(" ").append(unit).append("\n");
    out->append("# HELP ").append(family).append(" ");
    AppendEscaped(out, help, open);
    out->push_back('\n');
  }

  void AppendTo(std::string* out, MetricsFormat format) const {
    AppendHeader(out, format);
    for (const auto& metric : metrics) {
      if (metric->counter) {
        AppendSample(out, name, "_total", metric->labels);
        out->append(std::to_string(metric->counter->value())).push_back('\n');
      } else if (metric->gauge) {
        AppendSample(out, name, "", metric->labels);
        AppendFloat(out, metric->gauge->value());
        out->push_back('\n');
      } else if (metric->histogram) {
        AppendHistogram(out, name, metric->labels, *metric->histogram);
      }
    }
  }
};

MetricsRegistry::MetricsRegistry() = default;
MetricsRegistry::~MetricsRegistry() = default;

MetricsRegistry::Family& MetricsRegistry::GetFamily(std::string_view name, std::string_view help,
                                                    int type) {
  for (const auto& family : families_) {
    if (family->name != name) continue;
    if (family->type != type) Abort(name, "registered before with another type");
    return *family;
  }
  if (!IsName(name, true)) Abort(name, "not a valid name");
  for (std::string_view suffix : {"_total", "_bucket", "_count", "_sum", "_created", "_info"}) {
    if (name.ends_with(suffix)) Abort(name, "the rendering adds suffixes; name it without");
  }
  families_.push_back(std::make_unique<Family>(
      Family{.name = std::string(name), .help = std::string(help), .type = type, .metrics = {}}));
  return *families_.back();
}

Counter& MetricsRegistry::AddCounter(std::string_view name, std::string_view help, Labels labels) {
  std::lock_guard lock(mutex_);
  auto& metric = GetFamily(name, help, kCounterType).Get(labels);
  if (!metric.counter) metric.counter = std::make_unique<Counter>();
  return *metric.counter;
}

Gauge& MetricsRegistry::AddGauge(std::string_view name, std::string_view help, Labels labels) {
  std::lock_guard lock(mutex_);
  auto& metric = GetFamily(name, help, kGaugeType).Get(labels);
  if (!metric.gauge) metric.gauge = std::make_unique<Gauge>();
  return *metric.gauge;
}

Histogram& MetricsRegistry::AddHistogram(std::string_view name, std::string_view help,
                                         std::span<const double> bounds, Labels labels) {
  std::lock_guard lock(mutex_);
  auto& metric = GetFamily(name, help, kHistogramType).Get(labels);
  if (!metric.histogram) {
    if (std::ranges::adjacent_find(bounds, std::greater_equal<>()) != bounds.end()) {
      Abort(name, "bounds must ascend");
    }
    metric.histogram = std::make_unique<Histogram>(bounds);
  }
  if (!std::ranges::equal(metric.histogram->bounds(), bounds)) {
    Abort(name, "registered before with other bounds");
  }
  return *metric.histogram;
}

std::string MetricsRegistry::Render(MetricsFormat format) const {
  std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& family : families_) family->AppendTo(&out, format);
  if (format == MetricsFormat::kOpenMetrics) out += "# EOF\n";
  return out;
}

MetricsFormat NegotiateMetricsFormat(std::string_view accept) {
  return accept.find("application/openmetrics-text") != std::string_view::npos
             ? MetricsFormat::kOpenMetrics
             : MetricsFormat::kPrometheusText;
}

std::string_view MetricsContentType(MetricsFormat format) {
  return format == MetricsFormat::kOpenMetrics ? MetricsRegistry::kContentType
                                               : "text/plain; version=0.0.4; charset=utf-8";
}

}  // namespace selvedge

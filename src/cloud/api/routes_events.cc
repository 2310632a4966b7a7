// Events and aggregates.

#include <charconv>
#include <nlohmann/json.hpp>

#include "cloud/api/api_call.h"
#include "cloud/api/views.h"

namespace selvedge {
namespace {

constexpr std::int64_t kMaxMs = std::int64_t{1} << 52;

// Cuts off the one beyond the limit, and says where to go on.
template <typename Stored>
std::string CutOff(std::vector<Stored>* found, int limit) {
  if (found->size() <= static_cast<std::size_t>(limit)) return "";
  found->resize(static_cast<std::size_t>(limit));
  return std::to_string(found->back().cursor);
}

Result<EventFilter> ReadFilter(const ApiCall& call) {
  EventFilter filter{.device = call.Query("device"),
                     .site = call.Query("site"),
                     .application = call.Query("application"),
                     .rule = call.Query("rule"),
                     .label = call.Query("label")};
  SELVEDGE_ASSIGN_OR_RETURN(filter.after, call.QueryInt("after", 0, 0, INT64_MAX));
  SELVEDGE_ASSIGN_OR_RETURN(filter.since_ms, call.QueryInt("since", 0, 0, kMaxMs));
  SELVEDGE_ASSIGN_OR_RETURN(filter.until_ms, call.QueryInt("until", 0, 0, kMaxMs));
  SELVEDGE_ASSIGN_OR_RETURN(filter.limit, call.Limit());
  const std::string order = call.Query("order");
  if (!order.empty() && order != "asc" && order != "desc") {
    return Err(InvalidArgumentError("order: expected asc or desc"));
  }
  filter.descending = order == "desc";
  return filter;
}

void GetEvents(ApiCall& call) {
  auto filter = ReadFilter(call);
  if (!filter) return call.Fail(filter.error());
  const int limit = filter->limit++;
  auto events = call.plane.events().Query(*filter);
  if (!events) return call.Fail(events.error());
  const std::string next = CutOff(&*events, limit);
  std::vector<std::string> items;
  items.reserve(events->size());
  for (const StoredEvent& stored : *events) items.push_back(EventJson(stored));
  call.AnswerText(ListJson(items, next));
}

void GetAggregates(ApiCall& call) {
  const auto after = call.QueryInt("after", 0, 0, INT64_MAX);
  const auto since = call.QueryInt("since", 0, 0, kMaxMs);
  const auto until = call.QueryInt("until", 0, 0, kMaxMs);
  const auto limit = call.Limit();
  for (const auto* number : {&after, &since, &until}) {
    if (!*number) return call.Fail(number->error());
  }
  if (!limit) return call.Fail(limit.error());
  auto found = call.plane.events().QueryAggregates({.after = *after,
                                                    .device = call.Query("device"),
                                                    .site = call.Query("site"),
                                                    .since_ms = *since,
                                                    .until_ms = *until,
                                                    .limit = *limit + 1});
  if (!found) return call.Fail(found.error());
  const std::string next = CutOff(&*found, *limit);
  std::vector<std::string> items;
  for (const StoredAggregate& stored : *found) items.push_back(AggregateJson(stored));
  call.AnswerText(ListJson(items, next));
}

constexpr ApiEntry kRoutes[] = {
    {{"GET", "/events", UserRole::kViewer}, GetEvents},
    {{"GET", "/aggregates", UserRole::kViewer}, GetAggregates},
};

}  // namespace

std::span<const ApiEntry> EventRoutes() {
  return kRoutes;
}

}  // namespace selvedge

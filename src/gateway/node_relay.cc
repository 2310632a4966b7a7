#include "gateway/node_relay.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <utility>

namespace selvedge {

std::string MeaningOf(v1::State state) {
  state.clear_sequence();
  state.clear_time_unix_ns();
  state.clear_outbox();
  state.clear_rss_bytes();
  state.clear_disk_free_bytes();
  state.clear_temperature_celsius();
  for (v1::ServiceStatus& service : *state.mutable_services()) {
    service.clear_progress();
    if (!service.has_pipeline()) continue;
    const v1::PipelineMetrics& all = service.pipeline();
    v1::PipelineMetrics kept;
    kept.set_model(all.model());
    kept.set_engine(all.engine());
    kept.set_variant(all.variant());
    kept.set_precision(all.precision());
    kept.set_source_state(all.source_state());
    kept.set_ready(all.ready());
    kept.set_http_port(all.http_port());
    kept.set_choice_reason(all.choice_reason());
    *service.mutable_pipeline() = std::move(kept);
  }
  std::string meaning;
  {
    google::protobuf::io::StringOutputStream stream(&meaning);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    state.SerializeWithCachedSizes(&coded);
  }
  return meaning;
}

NodeRelay::Node* NodeRelay::NodeFor(const std::string& node) {
  const auto found = nodes_.find(node);
  if (found != nodes_.end()) return &found->second;
  if (!IsMember(node) && nodes_.size() >= members_.size() + options_.max_strangers) return nullptr;
  return &nodes_[node];
}

void NodeRelay::SendState(const std::string& name, Node* node, Nanos now, Messages* messages) {
  node->waiting = false;
  node->state_sent = now;
  messages->push_back({name, TopicKind::kState, node->state});
}

NodeRelay::Messages NodeRelay::SetMembers(std::set<std::string> members, Nanos now,
                                          std::vector<std::string>* gone) {
  Messages messages;
  for (const std::string& name : members_) {
    if (members.contains(name)) continue;
    gone->push_back(name);
    nodes_.erase(name);
  }
  for (auto& [name, node] : nodes_) {
    if (!members.contains(name) || members_.contains(name)) continue;
    if (!node.birth.empty()) messages.push_back({name, TopicKind::kBirth, node.birth});
    if (!node.state.empty() && now - node.state_came <= options_.fresh) {
      SendState(name, &node, now, &messages);
    }
  }
  members_ = std::move(members);
  return messages;
}

NodeRelay::Messages NodeRelay::OnBirth(const std::string& node, std::string payload,
                                       Nanos /*now*/) {
  v1::Birth birth;
  if (!birth.ParseFromString(payload) || birth.device() != node) {
    ++malformed_;
    return {};
  }
  const bool member = IsMember(node);
  if (!member) ++strangers_;
  Node* entry = NodeFor(node);
  if (entry == nullptr) return {};
  entry->birth = std::move(payload);
  entry->online = birth.online();
  if (!member) return {};
  return {{node, TopicKind::kBirth, entry->birth}};
}

NodeRelay::Messages NodeRelay::OnState(const std::string& node, std::string payload, Nanos now) {
  v1::State state;
  if (!state.ParseFromString(payload) || state.device() != node) {
    ++malformed_;
    return {};
  }
  const bool member = IsMember(node);
  if (!member) ++strangers_;
  Node* entry = NodeFor(node);
  if (entry == nullptr) return {};
  entry->state = std::move(payload);
  entry->state_came = now;
  if (!member) return {};
  std::string meaning = MeaningOf(std::move(state));
  Messages messages;
  const bool first = entry->state_sent == 0 && entry->meaning.empty();
  if (first || meaning != entry->meaning || now - entry->state_sent >= options_.state_interval) {
    SendState(node, entry, now, &messages);
  } else {
    entry->waiting = true;
  }
  entry->meaning = std::move(meaning);
  return messages;
}

NodeRelay::Messages NodeRelay::OnUplink(Nanos now) {
  Messages messages;
  for (auto& [name, node] : nodes_) {
    if (!IsMember(name)) continue;
    if (!node.birth.empty()) messages.push_back({name, TopicKind::kBirth, node.birth});
    if (!node.state.empty() && now - node.state_came <= options_.fresh) {
      SendState(name, &node, now, &messages);
    }
  }
  return messages;
}

NodeRelay::Messages NodeRelay::Due(Nanos now) {
  Messages messages;
  for (auto& [name, node] : nodes_) {
    if (node.waiting && IsMember(name) && now - node.state_sent >= options_.state_interval) {
      SendState(name, &node, now, &messages);
    }
  }
  return messages;
}

std::optional<Nanos> NodeRelay::NextTime() const {
  std::optional<Nanos> next;
  for (const auto& [name, node] : nodes_) {
    if (!node.waiting || !IsMember(name)) continue;
    const Nanos due = node.state_sent + options_.state_interval;
    if (!next || due < *next) next = due;
  }
  return next;
}

int NodeRelay::online() const {
  return static_cast<int>(std::ranges::count_if(
      nodes_, [this](const auto& entry) { return entry.second.online && IsMember(entry.first); }));
}

}  // namespace selvedge

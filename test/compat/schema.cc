#include "compat/schema.h"

#include <algorithm>
#include <iterator>

namespace selvedge {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

std::string TypeOf(const FieldDescriptor& field) {
  if (field.message_type() != nullptr) return field.message_type()->full_name();
  if (field.enum_type() != nullptr) return field.enum_type()->full_name();
  return field.type_name();
}

void AddEnum(const EnumDescriptor& type, std::set<std::string>* lines) {
  for (int i = 0; i < type.value_count(); ++i) {
    lines->insert(type.full_name() + " " + std::to_string(type.value(i)->number()) + " " +
                  type.value(i)->name());
  }
}

void AddMessage(const Descriptor& type, std::set<std::string>* lines) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    std::string line =
        type.full_name() + " " + std::to_string(field.number()) + " " + field.name() + ": ";
    if (field.is_repeated()) line += field.is_packed() ? "packed repeated " : "repeated ";
    line += TypeOf(field);
    if (field.real_containing_oneof() != nullptr) {
      line += ", one of " + field.real_containing_oneof()->name();
    } else if (field.has_presence() && field.message_type() == nullptr) {
      line += ", optional";
    }
    lines->insert(line);
  }
  for (int i = 0; i < type.nested_type_count(); ++i) AddMessage(*type.nested_type(i), lines);
  for (int i = 0; i < type.enum_type_count(); ++i) AddEnum(*type.enum_type(i), lines);
}

}  // namespace

std::set<std::string> SchemaLines(std::span<const FileDescriptor* const> files) {
  std::set<std::string> lines;
  for (const FileDescriptor* file : files) {
    for (int i = 0; i < file->message_type_count(); ++i) {
      AddMessage(*file->message_type(i), &lines);
    }
    for (int i = 0; i < file->enum_type_count(); ++i) AddEnum(*file->enum_type(i), &lines);
  }
  return lines;
}

std::vector<std::string> Broken(const std::set<std::string>& before,
                                const std::set<std::string>& now) {
  std::vector<std::string> broken;
  std::ranges::set_difference(before, now, std::back_inserter(broken));
  return broken;
}

}  // namespace selvedge

#include "device/agent/service.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

namespace selvedge {

ServiceKey KeyOf(const v1::ServiceSpec& spec) {
  return {spec.application(), spec.name()};
}

std::string FingerprintOf(const v1::ServiceSpec& spec) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);  // maps in the order of their keys
    spec.SerializeToCodedStream(&coded);
  }
  return bytes;
}

std::string ContentKeyOf(const v1::ServiceSpec& spec) {
  if (spec.kind() == v1::CONTAINER) return spec.digest() + " " + KeyOf(spec).ToString();
  return spec.digest();
}

}  // namespace selvedge

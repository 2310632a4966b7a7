// A delegate that takes no operator, under the Edge TPU runtime's name: shows that an external
// delegate is found, made, given to the interpreter and deleted, on machines without the device.

#include <tensorflow/lite/core/c/common.h>

#include <cstdlib>

extern "C" {

TfLiteDelegate* tflite_plugin_create_delegate(char** /*keys*/, char** /*values*/, size_t /*count*/,
                                              void (*report)(const char*)) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the test that sets it has one thread
  if (std::getenv("EDGETPU_STAND_IN_FAILS") != nullptr) {
    report("told to fail");
    return nullptr;
  }
  auto* delegate = new TfLiteDelegate{};
  delegate->Prepare = [](TfLiteContext*, TfLiteDelegate*) { return kTfLiteOk; };
  return delegate;
}

void tflite_plugin_destroy_delegate(TfLiteDelegate* delegate) {
  delete delegate;
}
}

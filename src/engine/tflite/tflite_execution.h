#pragma once

// One TensorFlow Lite interpreter with its delegate. Internal to engine/tflite.
//
// Inputs and outputs are the interpreter's own tensors: it aligns them to 64 bytes and does not
// move them once allocated, which Prepare and the contract suite check.

#include <memory>
#include <span>
#include <vector>

#include "engine/tflite/tflite_model.h"

namespace selvedge {

class TfLiteExecution : public Execution {
 public:
  explicit TfLiteExecution(std::shared_ptr<TfLiteSharedModel> model) : model_(std::move(model)) {}
  ~TfLiteExecution() override;

  // Builds the interpreter; on success input_specs() and output_specs() describe its tensors.
  Status Prepare();
  // Builds it with the library's own kernels only, which check every operator's shapes and types.
  // XNNPACK trusts the model and ends the process where a corrupt one is inconsistent: check before
  // Prepare.
  Status PrepareForCheck();
  const std::vector<TensorSpec>& input_specs() const { return input_specs_; }
  const std::vector<TensorSpec>& output_specs() const { return output_specs_; }

  std::span<const TensorView> inputs() const override { return inputs_; }
  Status Run() override;
  std::span<const TensorView> outputs() const override { return outputs_; }

 private:
  Status MakeDelegate();
  Status MakeInterpreter();
  Status ResizeInputs();
  Status ReadTensors();
  // The library's own word for what went wrong, as a Status.
  Status Failure(std::string_view what) const;

  std::shared_ptr<TfLiteSharedModel> model_;
  TfLiteMessages messages_;
  TfLiteDelegate* delegate_ = nullptr;
  void (*delete_delegate_)(TfLiteDelegate*) = nullptr;
  TfLiteInterpreter* interpreter_ = nullptr;
  std::vector<TensorSpec> input_specs_;
  std::vector<TensorSpec> output_specs_;
  std::vector<TensorView> inputs_;
  std::vector<TensorView> outputs_;
};

}  // namespace selvedge

#include "cmd/run/metered_engine.h"

#include <utility>

#include "base/cpu.h"

namespace selvedge {

class MeteredEngine::MeteredExecution : public Execution {
 public:
  MeteredExecution(std::unique_ptr<Execution> execution, std::atomic<Nanos>* cpu_time)
      : execution_(std::move(execution)), cpu_time_(cpu_time) {}
  std::span<const TensorView> inputs() const override { return execution_->inputs(); }
  std::span<const TensorView> outputs() const override { return execution_->outputs(); }
  Status Run() override {
    const Nanos before = ThreadCpuTime();
    Status status = execution_->Run();
    cpu_time_->fetch_add(ThreadCpuTime() - before, std::memory_order_relaxed);
    return status;
  }

 private:
  std::unique_ptr<Execution> execution_;
  std::atomic<Nanos>* const cpu_time_;
};

Result<std::unique_ptr<Execution>> MeteredEngine::NewExecution() {
  SELVEDGE_ASSIGN_OR_RETURN(auto execution, engine_->NewExecution());
  return std::make_unique<MeteredExecution>(std::move(execution), &cpu_time_);
}

}  // namespace selvedge

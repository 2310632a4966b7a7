#include "vision/kalman.h"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <random>

namespace selvedge {
namespace {

using State = Eigen::Matrix<double, 8, 1>;
using Square = Eigen::Matrix<double, 8, 8>;
using Measured = Eigen::Matrix<double, 4, 1>;
using Observation = Eigen::Matrix<double, 4, 8>;

// The same filter as the textbooks write it: one state (cx, cy, w, h, and their velocities), full
// matrices.
class FullFilter {
 public:
  FullFilter(const Box& box, const MotionNoise& noise) : noise_(noise) {
    state_.setZero();
    state_.head<4>() = ToMeasured(box);
    const double w = box.width();
    const double h = box.height();
    State deviation;
    deviation << noise.measured * w, noise.measured * h, noise.measured * w, noise.measured * h,
        noise.first_velocity * w, noise.first_velocity * h, noise.first_size_velocity * w,
        noise.first_size_velocity * h;
    covariance_ = deviation.array().square().matrix().asDiagonal();
  }

  void Predict(double t) {
    Square move = Square::Identity();
    Square added = Square::Zero();
    const double w = state_(2);
    const double h = state_(3);
    const double q[4] = {noise_.acceleration * w, noise_.acceleration * h,
                         noise_.size_acceleration * w, noise_.size_acceleration * h};
    for (int i = 0; i < 4; ++i) {
      move(i, i + 4) = t;
      added(i, i) = q[i] * q[i] * t * t * t / 3;
      added(i, i + 4) = added(i + 4, i) = q[i] * q[i] * t * t / 2;
      added(i + 4, i + 4) = q[i] * q[i] * t;
    }
    state_ = move * state_;
    covariance_ = move * covariance_ * move.transpose() + added;
  }

  void Correct(const Box& box) {
    Observation observe = Observation::Zero();
    observe.leftCols<4>().setIdentity();
    const double w = noise_.measured * state_(2);
    const double h = noise_.measured * state_(3);
    const Eigen::Matrix4d noise = Measured(w * w, h * h, w * w, h * h).asDiagonal();
    const Eigen::Matrix4d total = observe * covariance_ * observe.transpose() + noise;
    const Eigen::Matrix<double, 8, 4> gain = covariance_ * observe.transpose() * total.inverse();
    state_ += gain * (ToMeasured(box) - observe * state_);
    covariance_ = (Square::Identity() - gain * observe) * covariance_;
  }

  const State& state() const { return state_; }

 private:
  static Measured ToMeasured(const Box& box) {
    return {(box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2, box.width(), box.height()};
  }

  MotionNoise noise_;
  State state_;
  Square covariance_;
};

TEST(BoxFilterTest, SameAsTheEightDimensionalFilter) {
  std::mt19937 random(8);
  std::normal_distribution<float> jitter(0, 2);
  const MotionNoise noise;
  const Box first{100, 100, 140, 220};
  BoxFilter filter(first, noise);
  FullFilter full(first, noise);
  for (int i = 1; i <= 60; ++i) {
    const Nanos by = (20 + static_cast<Nanos>(random() % 200)) * kMillisecond;
    filter.Predict(by, noise);
    full.Predict(ToSeconds(by));
    if (random() % 4 != 0) {
      const auto step = static_cast<float>(i);
      const Box box{100 + 4 * step + jitter(random), 100 + step + jitter(random),
                    140 + 4 * step + jitter(random), 220 + 2 * step + jitter(random)};
      filter.Correct(box, noise);
      full.Correct(box);
    }
    const State& expected = full.state();
    const Box box = filter.box();
    ASSERT_NEAR((box.x1 + box.x2) / 2, expected(0), 1e-2) << "step " << i;
    ASSERT_NEAR((box.y1 + box.y2) / 2, expected(1), 1e-2) << "step " << i;
    ASSERT_NEAR(box.width(), expected(2), 1e-2) << "step " << i;
    ASSERT_NEAR(box.height(), expected(3), 1e-2) << "step " << i;
    ASSERT_NEAR(filter.velocity_x(), expected(4), 1e-2) << "step " << i;
    ASSERT_NEAR(filter.velocity_y(), expected(5), 1e-2) << "step " << i;
  }
}

TEST(AxisFilterTest, TwoShortPredictionsEqualOneLong) {
  AxisFilter once(5, 1, 2);
  once.Predict(0.1, 1);
  once.Correct(6, 0.5);
  AxisFilter twice = once;
  once.Predict(0.7, 3);
  twice.Predict(0.3, 3);
  twice.Predict(0.4, 3);
  EXPECT_NEAR(once.value(), twice.value(), 1e-12);
  EXPECT_NEAR(once.value_variance(), twice.value_variance(), 1e-12);
  EXPECT_NEAR(once.covariance(), twice.covariance(), 1e-12);
  EXPECT_NEAR(once.velocity_variance(), twice.velocity_variance(), 1e-12);
}

TEST(AxisFilterTest, CorrectionByHand) {
  // P = 4 + 1^2 * 9 = 13 after one second without noise; measured with variance 13: half way.
  AxisFilter axis(0, 2, 3);
  axis.Predict(1, 0);
  EXPECT_DOUBLE_EQ(axis.value_variance(), 13);
  EXPECT_DOUBLE_EQ(axis.covariance(), 9);
  axis.Correct(10, std::sqrt(13.0));
  EXPECT_NEAR(axis.value(), 5, 1e-12);
  EXPECT_NEAR(axis.velocity(), 10 * 9.0 / 26, 1e-12);
  EXPECT_NEAR(axis.value_variance(), 6.5, 1e-12);
  EXPECT_NEAR(axis.velocity_variance(), 9 - 81.0 / 26, 1e-12);
}

TEST(AxisFilterTest, CertainOfItselfIsNotMoved) {
  AxisFilter axis(3, 0, 0);
  axis.Correct(9, 0);
  EXPECT_EQ(axis.value(), 3);
}

TEST(BoxFilterTest, FindsAConstantVelocity) {
  const MotionNoise noise;
  BoxFilter filter({0, 0, 40, 100}, noise);
  for (int i = 1; i <= 30; ++i) {
    filter.Predict(100 * kMillisecond, noise);
    const auto x = 6.0F * static_cast<float>(i);
    const auto y = -3.0F * static_cast<float>(i);
    filter.Correct({x, y, x + 40, y + 100}, noise);
  }
  EXPECT_NEAR(filter.velocity_x(), 60, 0.5);
  EXPECT_NEAR(filter.velocity_y(), -30, 0.5);
}

TEST(BoxFilterTest, AStoppedSizeStaysAndNeverVanishes) {
  const MotionNoise noise;
  BoxFilter shrinking({0, 0, 40, 100}, noise);
  for (int i = 1; i <= 10; ++i) {
    shrinking.Predict(100 * kMillisecond, noise);
    const auto by = static_cast<float>(i);
    shrinking.Correct({by, 2 * by, 40 - by, 100 - 2 * by}, noise);
  }
  BoxFilter stopped = shrinking;
  stopped.StopResizing();
  const float width = stopped.box().width();
  stopped.Predict(10 * kSecond, noise);
  EXPECT_NEAR(stopped.box().width(), width, 1e-3);
  shrinking.Predict(1000 * kSecond, noise);
  EXPECT_GT(shrinking.box().width(), 0.9F);
  EXPECT_GT(shrinking.box().height(), 0.9F);
}

}  // namespace
}  // namespace selvedge

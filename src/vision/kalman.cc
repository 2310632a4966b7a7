#include "vision/kalman.h"

#include <algorithm>

namespace selvedge {

AxisFilter::AxisFilter(double value, double value_std, double velocity_std)
    : value_(value), p00_(value_std * value_std), p11_(velocity_std * velocity_std) {}

// x = F x, P = F P F' + Q, with F = [1 t; 0 1] and Q = q^2 [t^3/3 t^2/2; t^2/2 t].
void AxisFilter::Predict(double seconds, double acceleration) {
  const double density = acceleration * acceleration;
  const double t = seconds;
  value_ += velocity_ * t;
  p00_ += t * (2 * p01_ + t * p11_) + density * t * t * t / 3;
  p01_ += t * p11_ + density * t * t / 2;
  p11_ += density * t;
}

// K = P H' / (H P H' + R), x += K (z - H x), P = (I - K H) P, with H = [1 0].
void AxisFilter::Correct(double measured, double measured_std) {
  const double total = p00_ + measured_std * measured_std;
  if (!(total > 0)) return;
  const double gain_value = p00_ / total;
  const double gain_velocity = p01_ / total;
  const double surprise = measured - value_;
  value_ += gain_value * surprise;
  velocity_ += gain_velocity * surprise;
  p11_ -= gain_velocity * p01_;
  p01_ *= 1 - gain_value;
  p00_ *= 1 - gain_value;
}

BoxFilter::BoxFilter(const Box& box, const MotionNoise& noise) {
  const double width = std::max<double>(box.width(), 1);
  const double height = std::max<double>(box.height(), 1);
  x_ = AxisFilter(box.x1 + width / 2, noise.measured * width, noise.first_velocity * width);
  y_ = AxisFilter(box.y1 + height / 2, noise.measured * height, noise.first_velocity * height);
  width_ = AxisFilter(width, noise.measured * width, noise.first_size_velocity * width);
  height_ = AxisFilter(height, noise.measured * height, noise.first_size_velocity * height);
}

double BoxFilter::Width() const {
  return std::max(width_.value(), 1.0);
}
double BoxFilter::Height() const {
  return std::max(height_.value(), 1.0);
}

void BoxFilter::Predict(Nanos by, const MotionNoise& noise) {
  const double seconds = ToSeconds(std::max<Nanos>(by, 0));
  const double width = Width();
  const double height = Height();
  x_.Predict(seconds, noise.acceleration * width);
  y_.Predict(seconds, noise.acceleration * height);
  width_.Predict(seconds, noise.size_acceleration * width);
  height_.Predict(seconds, noise.size_acceleration * height);
}

void BoxFilter::Correct(const Box& box, const MotionNoise& noise) {
  const double width = std::max<double>(box.width(), 1);
  const double height = std::max<double>(box.height(), 1);
  // Scaled by the estimate rather than the detection, so that one wild box does not also vouch for
  // itself.
  const double std_x = noise.measured * Width();
  const double std_y = noise.measured * Height();
  x_.Correct(box.x1 + width / 2, std_x);
  y_.Correct(box.y1 + height / 2, std_y);
  width_.Correct(width, std_x);
  height_.Correct(height, std_y);
}

Box BoxFilter::box() const {
  const double half_width = Width() / 2;
  const double half_height = Height() / 2;
  return {static_cast<float>(x_.value() - half_width), static_cast<float>(y_.value() - half_height),
          static_cast<float>(x_.value() + half_width),
          static_cast<float>(y_.value() + half_height)};
}

}  // namespace selvedge

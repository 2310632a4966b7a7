#pragma once

// BoxFilter: where a box is and is going, estimated from noisy boxes at uneven times.
//
// A Kalman filter (Kalman 1960) with the state of BoT-SORT (Aharon et al. 2022, section 3.1):
// centre x and y, width, height, and the velocity of each. Every matrix of that model (transition,
// process and measurement noise, first covariance) ties a coordinate to its own velocity only, so
// the 8-dimensional filter is exactly four independent 2-dimensional ones, which is what AxisFilter
// is: far less arithmetic, the same numbers (kalman_test.cc compares with the 8x8 form).
//
// Motion is white-noise acceleration in continuous time (Bar-Shalom, Li, Kirubarajan, "Estimation
// with Applications to Tracking and Navigation", 2001, eq. 6.2.2-4), so two short predictions equal
// one long one and frame rate or dropped frames change nothing. Noise is relative to the size of
// the box, as in DeepSORT (Wojke et al. 2017).
//
// Plain values: copyable, no allocation, thread-compatible. Input must be finite with a positive
// size.

#include "base/clock.h"
#include "core/detection.h"

namespace selvedge {

// One coordinate and its velocity per second.
class AxisFilter {
 public:
  AxisFilter() = default;
  // Standard deviations of the first value and of the unknown velocity, which starts at 0.
  AxisFilter(double value, double value_std, double velocity_std);

  // `seconds` >= 0; `acceleration` is the square root of the noise's spectral density, units /
  // s^1.5.
  void Predict(double seconds, double acceleration);
  void Correct(double measured, double measured_std);
  // Forgets the velocity: what remains is a value that stays put.
  void Stop() { velocity_ = 0; }

  double value() const { return value_; }
  double velocity() const { return velocity_; }
  double value_variance() const { return p00_; }
  double velocity_variance() const { return p11_; }
  double covariance() const { return p01_; }

 private:
  double value_ = 0;
  double velocity_ = 0;
  double p00_ = 0;
  double p01_ = 0;
  double p11_ = 0;
};

// Noise of the motion model, relative to the box's own width (for x and width) and height (y and
// height).
struct MotionNoise {
  double measured = 0.05;            // std of a detected coordinate
  double first_velocity = 2.0;       // std of the unknown velocity of a new box, per second
  double acceleration = 0.5;         // of the centre, per s^1.5
  double first_size_velocity = 0.3;  // the same two for width and height
  double size_acceleration = 0.2;
};

class BoxFilter {
 public:
  BoxFilter() = default;
  BoxFilter(const Box& box, const MotionNoise& noise);

  // Moves the estimate forward by `by` >= 0.
  void Predict(Nanos by, const MotionNoise& noise);
  // Takes in a detected box at the time predicted to.
  void Correct(const Box& box, const MotionNoise& noise);
  // The box keeps its present size from now on, until detections say otherwise.
  void StopResizing() {
    width_.Stop();
    height_.Stop();
  }

  // Finite; its sides are at least one pixel, before rounding to float.
  Box box() const;
  double velocity_x() const { return x_.velocity(); }  // of the centre, pixels per second
  double velocity_y() const { return y_.velocity(); }

 private:
  double Width() const;
  double Height() const;

  AxisFilter x_;
  AxisFilter y_;
  AxisFilter width_;
  AxisFilter height_;
};

}  // namespace selvedge

// The part of a picture around a box that is asked about, as training cuts it.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "json.h"
#include "picture.h"
#include "settings.h"

using Sides = std::array<double, 4>;  // left, top, right, bottom, in pixels of the picture

struct Window {
  int left, top, right, bottom;
};

// The sides of "L,T,R,B".
inline Sides sides(const std::string& word) {
  Sides found;
  const char* rest = word.c_str();
  for (std::size_t i = 0; i < found.size(); ++i) {
    char* end = nullptr;
    found[i] = std::strtod(rest, &end);
    const char after = i + 1 < found.size() ? ',' : '\0';
    if (end == rest || *end != after) throw std::invalid_argument("--box: L,T,R,B in pixels, not " + word);
    rest = end + 1;
  }
  return found;
}

inline std::string told(const Sides& box) {
  return number(box[0]) + ", " + number(box[1]) + ", " + number(box[2]) + ", " + number(box[3]);
}

// In hundredths, so that the last bits of a number never decide a pixel; in decimals, as Python rounds.
inline double hundredths(double value) {
  char text[400];
  std::snprintf(text, sizeof text, "%.2f", value);
  return std::strtod(text, nullptr);
}

inline std::array<int, 2> span(double low, double high, int side) {
  const int first = int(std::min(std::max(0.0, std::floor(hundredths(low))), side - 1.0));
  return {first, int(std::max(std::min(double(side), std::ceil(hundredths(high))), first + 1.0))};
}

inline Window around(const Sides& box, const Picture& picture) {
  const double left = std::clamp(box[0], 0.0, double(picture.width));
  const double top = std::clamp(box[1], 0.0, double(picture.height));
  const double right = std::clamp(box[2], 0.0, double(picture.width));
  const double bottom = std::clamp(box[3], 0.0, double(picture.height));
  if (!(left < right && top < bottom))  // what is no number neither
    throw std::runtime_error("box " + told(box) + " has no area in a picture of " + std::to_string(picture.width) +
                             " x " + std::to_string(picture.height) + "; leave it out");
  const double more = settings::margin * std::max(right - left, bottom - top);
  const auto columns = span(left - more, right + more, picture.width);
  const auto rows = span(top - more, bottom + more, picture.height);
  return {columns[0], rows[0], columns[1], rows[1]};
}

inline Picture cut(const Picture& from, const Window& window) {
  Picture to(window.right - window.left, window.bottom - window.top, from.channels);
  for (int y = 0; y < to.height; ++y)
    std::copy_n(from.at(window.left, window.top + y), std::size_t(to.width) * to.channels, to.at(0, y));
  return to;
}

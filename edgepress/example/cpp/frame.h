// Where in the model's input a picture lies, and the picture fitted into it.
#pragma once

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "resize.h"
#include "settings.h"

struct Frame {
  int picture_width, picture_height;
  int width, height;  // of the resized picture
  int left, top;      // its corner in the input, below 0 where the input is its middle
  int corner_x = 0, corner_y = 0;  // of the picture, where it is a part of another

  // A place of the input in the picture's own pixels, or those of the one that it is a part of.
  double across(double x) const { return (x - left) / (double(width) / picture_width) + corner_x; }
  double down(double y) const { return (y - top) / (double(height) / picture_height) + corner_y; }
};

// nearbyint takes halves to the even number, as Python's round does.
inline int rounded(double value) { return int(std::nearbyint(value)); }

inline Frame cropped(int width, int height) {
  long long wide = settings::covered_width, high = settings::covered_height;
  if (wide * height >= high * width)
    high = std::max(high, height * wide / width);
  else
    wide = std::max(wide, width * high / height);
  if (wide * high > (1LL << 26))  // the other side has no bound of its own
    throw std::runtime_error("too long: it would be resized to " + std::to_string(wide) + " x " +
                             std::to_string(high) + " before it is cropped");
  const int left = -rounded((wide - settings::width) / 2.0);
  const int top = -rounded((high - settings::height) / 2.0);
  return {width, height, int(wide), int(high), left, top};
}

inline Frame framed(int width, int height) {
  if (settings::fit == settings::Fit::stretch)
    return {width, height, settings::width, settings::height, 0, 0};
  if (settings::fit == settings::Fit::crop) return cropped(width, height);
  const double ratio = std::min(double(settings::width) / width, double(settings::height) / height);
  const int wide = std::min(settings::width, std::max(1, rounded(width * ratio)));
  const int high = std::min(settings::height, std::max(1, rounded(height * ratio)));
  return {width, height, wide, high, (settings::width - wide) / 2, (settings::height - high) / 2};
}

inline Picture fitted(const Picture& picture, const Frame& frame) {
  const Picture coloured = with_channels(picture, settings::channels);
  const Picture small = resized(coloured, frame.width, frame.height, settings::filter);
  Picture input(settings::width, settings::height, settings::channels);
  std::fill(input.pixels.begin(), input.pixels.end(), std::uint8_t(settings::around));
  const int first = std::max(0, -frame.left);
  const int count = std::min(small.width, settings::width) * small.channels;
  for (int y = 0; y < small.height; ++y) {
    const int row = frame.top + y;
    if (row >= 0 && row < settings::height)
      std::copy_n(small.at(first, y), count, input.at(std::max(0, frame.left), row));
  }
  return input;
}

// Where in the model's input a picture lies, and the picture fitted into it.
#pragma once

#include <algorithm>
#include <cmath>

#include "resize.h"
#include "settings.h"

struct Frame {
  int picture_width, picture_height;
  int width, height;  // of the picture within the input
  int left, top;      // its corner there
};

inline Frame framed(int width, int height) {
  if (!settings::letterbox)
    return {width, height, settings::width, settings::height, 0, 0};
  const double ratio = std::min(double(settings::width) / width, double(settings::height) / height);
  // nearbyint takes halves to the even number, as Python's round does.
  const int wide = std::min(settings::width, std::max(1, int(std::nearbyint(width * ratio))));
  const int high = std::min(settings::height, std::max(1, int(std::nearbyint(height * ratio))));
  return {width, height, wide, high, (settings::width - wide) / 2, (settings::height - high) / 2};
}

inline Picture fitted(const Picture& picture, const Frame& frame) {
  const Picture coloured = with_channels(picture, settings::channels);
  const Picture small = resized(coloured, frame.width, frame.height, settings::filter);
  Picture input(settings::width, settings::height, settings::channels);
  std::fill(input.pixels.begin(), input.pixels.end(), std::uint8_t(settings::around));
  for (int y = 0; y < small.height; ++y)
    std::copy_n(small.at(0, y), small.width * small.channels, input.at(frame.left, frame.top + y));
  return input;
}

// A picture of 8 bits, grey or RGB, and the steps to it that do not depend on the file's format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

using Bytes = std::vector<std::uint8_t>;

struct Picture {
  int width = 0;
  int height = 0;
  int channels = 0;  // 1 is grey, 3 is RGB; while a file is read, 2 and 4 have alpha behind
  Bytes pixels;      // [height, width, channels]

  Picture() = default;
  Picture(int wide, int high, int deep)
      : width(wide), height(high), channels(deep), pixels(std::size_t(wide) * high * deep) {}

  std::uint8_t* at(int x, int y) {
    return pixels.data() + (std::size_t(y) * width + x) * channels;
  }
  const std::uint8_t* at(int x, int y) const {
    return pixels.data() + (std::size_t(y) * width + x) * channels;
  }
};

// Product of two levels over 255, rounded.
inline std::uint8_t divided(int product) {
  return std::uint8_t((product + 128 + ((product + 128) >> 8)) >> 8);
}

// Lay a picture with alpha over white.
inline Picture over_white(const Picture& from) {
  const int colours = from.channels - 1;
  Picture to(from.width, from.height, colours);
  for (std::size_t i = 0; i < to.pixels.size() / colours; ++i) {
    const std::uint8_t* pixel = &from.pixels[i * from.channels];
    const int alpha = pixel[colours];
    for (int c = 0; c < colours; ++c)
      to.pixels[i * colours + c] = divided(pixel[c] * alpha + 255 * (255 - alpha));
  }
  return to;
}

// Turn a picture upright from EXIF's orientation, 1 to 8.
inline Picture upright(const Picture& from, int orientation) {
  if (orientation < 2 || orientation > 8) return from;
  const bool lying = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Picture to(lying ? from.height : from.width, lying ? from.width : from.height, from.channels);
  for (int y = 0; y < to.height; ++y)
    for (int x = 0; x < to.width; ++x) {
      const int column = lying ? y : x, row = lying ? x : y;
      const std::uint8_t* pixel = from.at(from_right ? from.width - 1 - column : column,
                                          from_below ? from.height - 1 - row : row);
      for (int c = 0; c < to.channels; ++c) to.at(x, y)[c] = pixel[c];
    }
  return to;
}

// Give a picture 1 or 3 channels; grey is ITU-R 601's luma in 16 bits of fraction.
inline Picture with_channels(const Picture& from, int channels) {
  if (from.channels == channels) return from;
  Picture to(from.width, from.height, channels);
  for (std::size_t i = 0; i < std::size_t(from.width) * from.height; ++i) {
    const std::uint8_t* pixel = &from.pixels[i * from.channels];
    if (channels == 1)
      to.pixels[i] = std::uint8_t((pixel[0] * 19595 + pixel[1] * 38470 + pixel[2] * 7471 + 0x8000) >> 16);
    else
      for (int c = 0; c < 3; ++c) to.pixels[i * 3 + c] = pixel[0];
  }
  return to;
}

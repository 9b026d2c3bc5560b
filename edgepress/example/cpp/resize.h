// Resize as Pillow 13 does, to the bit: antialiased filters, weights of 22 bits, levels of 8 bits
// between the two passes. Pillow 12 and older begin across even where 13 begins down.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "picture.h"

enum class Filter { nearest, bilinear, bicubic };

// The source pixels that one pixel of the result is made of, and the weight of each.
struct Weights {
  int first = 0;
  std::vector<int> values;
};

constexpr int kFraction = 22;  // bits of a weight after the point

inline double response(Filter filter, double x) {
  x = std::fabs(x);
  if (filter == Filter::bilinear) return x < 1 ? 1 - x : 0;
  const double a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

inline std::vector<Weights> weights(Filter filter, int from, int to) {
  const double scale = double(from) / to, stretch = std::max(scale, 1.0);
  const double support = (filter == Filter::bilinear ? 1.0 : 2.0) * stretch;
  std::vector<Weights> all(to);
  for (int i = 0; i < to; ++i) {
    const double centre = (i + 0.5) * scale;
    const int first = std::max(int(centre - support + 0.5), 0);
    const int count = std::min(int(centre + support + 0.5), from) - first;
    std::vector<double> exact(count);
    double sum = 0;
    for (int k = 0; k < count; ++k)
      sum += exact[k] = response(filter, (k + first - centre + 0.5) * (1 / stretch));
    all[i].first = first;
    for (const double each : exact) {
      const double weight = sum == 0 ? each : each / sum;
      all[i].values.push_back(int((weight < 0 ? -0.5 : 0.5) + weight * (1 << kFraction)));
    }
  }
  return all;
}

inline std::uint8_t level(int sum) { return std::uint8_t(std::clamp(sum >> kFraction, 0, 255)); }

inline Picture resized_across(const Picture& from, const std::vector<Weights>& columns) {
  Picture to(int(columns.size()), from.height, from.channels);
  for (int y = 0; y < to.height; ++y)
    for (int x = 0; x < to.width; ++x)
      for (int c = 0; c < to.channels; ++c) {
        const std::uint8_t* pixel = from.at(columns[x].first, y) + c;
        int sum = 1 << (kFraction - 1);
        for (const int weight : columns[x].values) {
          sum += *pixel * weight;
          pixel += from.channels;
        }
        to.at(x, y)[c] = level(sum);
      }
  return to;
}

inline Picture resized_down(const Picture& from, const std::vector<Weights>& rows) {
  const int row = from.width * from.channels;
  Picture to(from.width, int(rows.size()), from.channels);
  for (int y = 0; y < to.height; ++y)
    for (int i = 0; i < row; ++i) {
      int sum = 1 << (kFraction - 1);
      const std::uint8_t* pixel = from.at(0, rows[y].first) + i;
      for (const int weight : rows[y].values) {
        sum += *pixel * weight;
        pixel += row;
      }
      to.at(0, y)[i] = level(sum);
    }
  return to;
}

// The source's place for each of `to` pixels, by the nearest; a running sum, as Pillow's is.
inline std::vector<int> nearest(int from, int to) {
  const double scale = double(from) / to;
  std::vector<int> places;
  for (double place = scale * 0.5; int(places.size()) < to; place += scale)
    places.push_back(std::min(int(place), from - 1));
  return places;
}

inline Picture resized(const Picture& from, int width, int height, Filter filter) {
  if (from.width == width && from.height == height) return from;
  if (filter == Filter::nearest) {
    const std::vector<int> columns = nearest(from.width, width), rows = nearest(from.height, height);
    Picture to(width, height, from.channels);
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        std::copy_n(from.at(columns[x], rows[y]), from.channels, to.at(x, y));
    return to;
  }
  const auto across = [&](const Picture& part) {
    return part.width == width ? part : resized_across(part, weights(filter, part.width, width));
  };
  const auto down = [&](const Picture& part) {
    return part.height == height ? part : resized_down(part, weights(filter, part.height, height));
  };
  const int narrower = from.width - width, lower = from.height - height;
  return lower > std::max(0, 2 * narrower) ? across(down(from)) : down(across(from));
}

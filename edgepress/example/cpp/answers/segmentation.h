// The class of every pixel of the picture: its share, and its mask in COCO's run-length code.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>

#include "frame.h"
#include "json.h"
#include "model.h"

constexpr bool kDecodes = true;
constexpr int kNone = -1;

// The class of each pixel of the input: given by the graph, or the highest of its logits.
inline std::vector<int> mask(const Outputs& outputs) {
  const int known = int(settings::classes.size());
  const Numbers& found = outputs.begin()->second;
  const bool given = outputs.count("mask") > 0;
  const std::size_t size = given ? found.values.size() : found.values.size() / known;
  std::vector<int> to(size, kNone);
  for (std::size_t i = 0; i < size; ++i) {
    if (given) {
      const float value = found.values[i];
      to[i] = value >= 0 && value < known ? int(value) : kNone;
      continue;
    }
    int highest = 0;
    bool finite = true;
    for (int c = 0; c < known; ++c) {
      finite = finite && std::isfinite(found.values[c * size + i]);
      if (found.values[c * size + i] > found.values[highest * size + i]) highest = c;
    }
    to[i] = finite ? highest : kNone;
  }
  return to;
}

struct Run {
  std::string counts;  // of pixels without and with the class by turns, down the columns
  std::int64_t since = 0, pixels = 0;
  bool within = false;

  void turn(std::int64_t place) {
    counts += (counts.empty() ? "" : ", ") + std::to_string(place - since);
    if (within) pixels += place - since;
    since = place;
    within = !within;
  }
};

inline std::string told(const Outputs& outputs, const Frame& frame) {
  const std::vector<int> classes = mask(outputs);
  const auto place = [](int i, int side, int within, int start, int limit) {
    const double scale = double(within) / side;
    return std::min(int((i + 0.5) * scale + start), limit - 1);
  };
  std::map<int, Run> runs;
  int last = kNone;
  std::int64_t pixel = 0;
  for (int x = 0; x < frame.picture_width; ++x)
    for (int y = 0; y < frame.picture_height; ++y, ++pixel) {
      const int column = place(x, frame.picture_width, frame.width, frame.left, settings::width);
      const int row = place(y, frame.picture_height, frame.height, frame.top, settings::height);
      const int here = classes[std::size_t(row) * settings::width + column];
      if (here == kNone) throw NoAnswer();
      if (here == last) continue;
      if (last != kNone) runs[last].turn(pixel);
      runs[here].turn(pixel);
      last = here;
    }
  runs[last].turn(pixel);
  const std::string size = std::to_string(frame.picture_height) + ", " + std::to_string(frame.picture_width);
  std::string segments;
  for (auto& [index, run] : runs) {
    if (run.since < pixel) run.turn(pixel);
    segments += (segments.empty() ? "" : ", ") + std::string("{\"class\": ") + quoted(settings::classes[index]) +
                ", \"share\": " + number(double(run.pixels) / pixel) + ", \"mask\": {\"size\": [" + size +
                "], \"counts\": [" + run.counts + "]}}";
  }
  return "\"segments\": [" + segments + "]";
}

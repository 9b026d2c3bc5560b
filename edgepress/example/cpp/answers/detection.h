// The objects, the surest first: boxes of the maps or queries, none over another of its class.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "frame.h"
#include "json.h"
#include "model.h"

constexpr bool kDecodes = true;

struct Box {
  float left, top, right, bottom;
  float score;
  int category;

  float area() const { return std::max(right - left, 0.f) * std::max(bottom - top, 0.f); }
};

using Boxes = std::vector<Box>;

inline float sigmoid(float logit) { return 1 / (1 + std::exp(-logit)); }

// The logit of the confidence from which a box is looked at.
inline double least_logit() { return std::log(settings::least_score) - std::log1p(-settings::least_score); }

// The map of one stride: `values` [channels, rows, columns].
struct Level {
  const std::vector<float>& boxes;
  const std::vector<float>& scores;
  int rows, columns;

  Level(const Outputs& outputs, int stride)
      : boxes(outputs.at("boxes_" + std::to_string(stride)).values),
        scores(outputs.at("scores_" + std::to_string(stride)).values) {
    const auto& shape = outputs.at("scores_" + std::to_string(stride)).shape;
    rows = int(shape.at(2)), columns = int(shape.at(3));
  }

  int places() const { return rows * columns; }
};

// Logarithms of how far the sides are from a place's middle, in strides.
inline void of_distances(const Outputs& outputs, int stride, Boxes& to) {
  constexpr float kLargest = 8;
  const Level level(outputs, stride);
  const int size = level.places();
  const double least = least_logit();
  for (int c = 0; c < int(settings::classes.size()); ++c)
    for (int i = 0; i < size; ++i) {
      const float logit = level.scores[c * size + i];
      if (!(logit > least)) continue;
      const float x = (i % level.columns + 0.5f) * stride, y = (i / level.columns + 0.5f) * stride;
      const auto far = [&](int side) { return std::exp(std::min(level.boxes[side * size + i], kLargest)) * stride; };
      to.push_back({x - far(0), y - far(1), x + far(2), y + far(3), sigmoid(logit), c});
    }
}

// Middles and sides as shares of the input.
inline void of_queries(const Outputs& outputs, Boxes& to) {
  const std::vector<float>& boxes = outputs.at("boxes_queries").values;
  const std::vector<float>& scores = outputs.at("scores_queries").values;
  const std::size_t known = settings::classes.size();
  const double least = least_logit();
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (!(scores[i] > least)) continue;
    const float* box = &boxes[i / known * 4];
    const float across = box[2] / 2, down = box[3] / 2;
    to.push_back({(box[0] - across) * settings::width, (box[1] - down) * settings::height,
                  (box[0] + across) * settings::width, (box[1] + down) * settings::height,
                  sigmoid(scores[i]), int(i % known)});
  }
}

// Widths and heights of the default boxes at a place of a map, as shares of the input.
inline std::vector<std::pair<double, double>> default_sides(std::size_t level) {
  const std::size_t levels = settings::strides.size();
  const auto scale = [&](std::size_t of) {
    if (levels == 1) return of ? settings::most_size : settings::least_size;
    if (of == levels) return 1.0;
    return settings::least_size + of * (settings::most_size - settings::least_size) / (levels - 1);
  };
  const double here = scale(level), between = std::sqrt(here * scale(level + 1));
  std::vector<std::pair<double, double>> sides = { {here, here}, {between, between} };
  for (const double ratio : settings::ratios) {
    const double longer = here * std::sqrt(ratio), shorter = here / std::sqrt(ratio);
    sides.push_back({longer, shorter});
    sides.push_back({shorter, longer});
  }
  for (auto& [wide, high] : sides) wide = std::min(wide, 1.0), high = std::min(high, 1.0);
  return sides;
}

// Codes of default boxes: logits of nothing and of the classes, and how the box differs from its own.
inline void of_default_boxes(const Outputs& outputs, std::size_t which, Boxes& to) {
  const float largest = float(std::log(1000.0 / 16));
  const Level finest(outputs, settings::strides[0]), level(outputs, settings::strides[which]);
  const double width = finest.columns * settings::strides[0], height = finest.rows * settings::strides[0];
  const int size = level.places(), known = int(settings::classes.size());
  int of = 0;
  for (const auto& [wide, high] : default_sides(which)) {
    const float w = float(float(wide) * width), h = float(float(high) * height);
    const float* codes = &level.boxes[std::size_t(4) * size * of];
    const float* logits = &level.scores[std::size_t(known + 1) * size * of++];
    for (int c = 1; c <= known; ++c)
      for (int i = 0; i < size; ++i) {
        float most = logits[i], sum = 0;
        for (int each = 1; each <= known; ++each) most = std::max(most, logits[each * size + i]);
        for (int each = 0; each <= known; ++each) sum += std::exp(logits[each * size + i] - most);
        const float score = std::exp(logits[c * size + i] - most) / sum;
        if (!(score > settings::least_score)) continue;
        const float x = float((i % level.columns + 0.5) / level.columns * width);
        const float y = float((i / level.columns + 0.5) / level.rows * height);
        const auto code = [&](int side) { return codes[side * size + i]; };
        const float middle_x = code(0) / 10 * w + x, middle_y = code(1) / 10 * h + y;
        const float across = std::exp(std::min(code(2) / 5, largest)) * w / 2;
        const float down = std::exp(std::min(code(3) / 5, largest)) * h / 2;
        to.push_back({middle_x - across, middle_y - down, middle_x + across, middle_y + down, score, c - 1});
      }
  }
}

inline Boxes candidates(const Outputs& outputs) {
  Boxes found;
  if (settings::coding == settings::Coding::queries) of_queries(outputs, found);
  for (std::size_t i = 0; i < settings::strides.size(); ++i) {
    if (settings::coding == settings::Coding::distances) of_distances(outputs, settings::strides[i], found);
    if (settings::coding == settings::Coding::default_boxes) of_default_boxes(outputs, i, found);
  }
  for (Box& box : found) {
    box.left = std::clamp(box.left, 0.f, float(settings::width));
    box.right = std::clamp(box.right, 0.f, float(settings::width));
    box.top = std::clamp(box.top, 0.f, float(settings::height));
    box.bottom = std::clamp(box.bottom, 0.f, float(settings::height));
  }
  return found;
}

inline bool clash(const Box& a, const Box& b) {
  if (a.category != b.category) return false;
  const float wide = std::min(a.right, b.right) - std::max(a.left, b.left);
  const float high = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  const float shared = std::max(wide, 0.f) * std::max(high, 0.f);
  return shared > (a.area() + b.area() - shared) * float(settings::overlap);
}

inline bool by_score(const Box& a, const Box& b) { return a.score > b.score; }

// Greedy non-maximum suppression, the surest first.
inline Boxes kept(Boxes boxes) {
  std::stable_sort(boxes.begin(), boxes.end(), by_score);
  Boxes stay;
  for (const Box& box : boxes) {
    if (int(stay.size()) == settings::most_answers) break;
    if (box.right <= box.left || box.bottom <= box.top) continue;
    const auto covers = [&](const Box& surer) { return clash(surer, box); };
    if (std::none_of(stay.begin(), stay.end(), covers)) stay.push_back(box);
  }
  return stay;
}

// What a graph has decoded itself; places without a box have the category -1.
inline Boxes given(const Outputs& outputs) {
  const std::vector<float>& boxes = outputs.at("boxes").values;
  Boxes found;
  for (std::size_t i = 0; i < outputs.at("category").values.size(); ++i) {
    const float category = outputs.at("category").values[i];
    if (category < -1 || category >= settings::classes.size())
      throw NoAnswer();
    if (category < 0) continue;
    const float* box = &boxes[i * 4];
    found.push_back({box[0], box[1], box[2], box[3], outputs.at("scores").values[i], int(category)});
  }
  if (outputs.count("count") && outputs.at("count").values.at(0) != found.size())
    throw NoAnswer();
  std::stable_sort(found.begin(), found.end(), by_score);
  return found;
}

inline std::string told(const Outputs& outputs, const Frame& frame) {
  expect_finite(outputs);
  std::string objects;
  for (const Box& box : outputs.count("category") ? given(outputs) : kept(candidates(outputs))) {
    const auto side = [](double place, int limit) { return number(std::clamp(place, 0.0, double(limit))); };
    objects += (objects.empty() ? "" : ", ") + std::string("{\"class\": ") + quoted(settings::classes[box.category]) +
               ", \"score\": " + number(box.score) + ", \"sure\": " + (box.score >= settings::sure ? "true" : "false") +
               ", \"box\": [" + side(frame.across(box.left), frame.picture_width) + ", " +
               side(frame.down(box.top), frame.picture_height) + ", " +
               side(frame.across(box.right), frame.picture_width) + ", " +
               side(frame.down(box.bottom), frame.picture_height) + "]}";
  }
  return "\"objects\": [" + objects + "]";
}

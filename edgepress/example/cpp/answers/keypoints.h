// A place and a confidence for each point, between the steps of its map or of its two rows of bins.
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

struct Point {
  double x, y;  // in steps from the middle of the first one
  double score;
};

using Row = std::vector<double>;

inline int highest(const Row& row) { return int(std::max_element(row.begin(), row.end()) - row.begin()); }

// Where the parabola through the highest of logarithms has its summit; at a border it is the target's.
inline double summit(const Row& logs, int at) {
  const int last = int(logs.size()) - 1;
  const int wanted = std::max(1, rounded(settings::blur));
  const int reach = std::min({wanted, at, last - at});
  const int step = std::max(reach, 1);
  const double before = logs[std::clamp(at - step, 0, last)], after = logs[std::clamp(at + step, 0, last)];
  if (reach > 0) {
    const double bend = before + after - 2 * logs[at];
    return bend < 0 ? at + (before - after) / bend * step / 2 : at;
  }
  const int side = at == 0 ? 1 : -1;
  const double beside = side > 0 ? after : before;
  const double over = 0.5 + settings::blur * settings::blur * (beside - logs[at]);
  return at + side * std::clamp(over, -1.0, 0.5);
}

// The logarithm of the sigmoid.
inline double log_sigmoid(double logit) {
  return logit < 0 ? logit - std::log1p(std::exp(logit)) : -std::log1p(std::exp(-logit));
}

inline Point of_map(const float* logits, int rows, int columns) {
  const int peak = int(std::max_element(logits, logits + std::ptrdiff_t(rows) * columns) - logits);
  const int row = peak / columns, column = peak % columns;
  Row across, down;
  for (int x = 0; x < columns; ++x) across.push_back(log_sigmoid(logits[row * columns + x]));
  for (int y = 0; y < rows; ++y) down.push_back(log_sigmoid(logits[y * columns + column]));
  return {summit(across, column), summit(down, row), std::exp(across[column])};
}

// The place in a row of bins, and the probability of the bins around it.
inline std::pair<double, double> of_bins(const float* logits, int bins) {
  constexpr double kWithin = 3;
  Row logs(logits, logits + bins);
  const int at = highest(logs);
  const double most = logs[at], reach = std::ceil(kWithin * settings::blur);
  double near = 0, all = 0;
  for (int i = 0; i < bins; ++i) {
    logs[i] -= most;
    all += std::exp(logs[i]);
    if (std::abs(i - at) <= reach) near += std::exp(logs[i]);
  }
  return {summit(logs, at), near / all};
}

inline Point found(const Outputs& outputs, std::size_t index) {
  if (outputs.count("heatmaps")) {
    const Numbers& maps = outputs.at("heatmaps");
    const int rows = int(maps.shape.at(2)), columns = int(maps.shape.at(3));
    return of_map(&maps.values[index * rows * columns], rows, columns);
  }
  const Numbers &across = outputs.at("x"), &down = outputs.at("y");
  const int columns = int(across.shape.at(2)), rows = int(down.shape.at(2));
  const auto [x, share_x] = of_bins(&across.values[index * columns], columns);
  const auto [y, share_y] = of_bins(&down.values[index * rows], rows);
  return {x, y, share_x * share_y};
}

inline std::string told(const Outputs& outputs, const Frame& frame) {
  expect_finite(outputs);
  std::string points;
  for (std::size_t i = 0; i < settings::points.size(); ++i) {
    const Point point = found(outputs, i);
    const auto place = [](double step, int limit) {
      return std::clamp((step + 0.5) * settings::stride, 0.0, double(limit));
    };
    const double score = float(point.score);
    points += (points.empty() ? "" : ", ") + quoted(settings::points[i]) +
              ": {\"x\": " + number(frame.across(float(place(point.x, settings::width)))) +
              ", \"y\": " + number(frame.down(float(place(point.y, settings::height)))) +
              ", \"score\": " + number(score) + ", \"sure\": " + (score >= settings::sure ? "true" : "false") + "}";
  }
  return "\"points\": {" + points + "}";
}

// The class with the highest logit and its confidence, by softmax.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include "frame.h"
#include "json.h"
#include "model.h"

constexpr bool kDecodes = true;

inline std::string told(const Outputs& outputs, const Frame&) {
  expect_finite(outputs);
  const std::vector<float>& logits = outputs.at("logits").values;
  const auto highest = std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float each : logits) sum += std::exp(double(each) - *highest);
  return "\"class\": " + quoted(settings::classes[highest - logits.begin()]) +
         ", \"score\": " + number(1 / sum);
}

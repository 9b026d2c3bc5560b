// The classes whose confidence, the logit's sigmoid, reaches the threshold; and every confidence.
#pragma once

#include <cmath>
#include <string>

#include "frame.h"
#include "json.h"
#include "model.h"

constexpr bool kDecodes = true;

inline std::string told(const Outputs& outputs, const Frame&) {
  expect_finite(outputs);
  const std::vector<float>& logits = outputs.at("logits").values;
  std::string given, scores;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float score = float(1 / (1 + std::exp(-double(logits[i]))));
    const std::string name = quoted(settings::classes[i]);
    if (score >= settings::threshold) given += (given.empty() ? "" : ", ") + name;
    scores += (scores.empty() ? "" : ", ") + name + ": " + number(score);
  }
  return "\"classes\": [" + given + "], \"scores\": {" + scores + "}";
}

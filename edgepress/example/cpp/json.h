// Words of JSON.
#pragma once

#include <cstdio>
#include <string>

inline std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char each : text) {
    char code[8];
    if (each == '"' || each == '\\') {
      out += std::string("\\") + each;
    } else if (static_cast<unsigned char>(each) < 0x20) {
      std::snprintf(code, sizeof code, "\\u%04x", each);
      out += code;
    } else {
      out += each;
    }
  }
  return out + "\"";
}

inline std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

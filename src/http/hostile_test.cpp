// Requests that must be refused: smuggling, splitting, oversized, malformed. Each whole and byte by
// byte.
#include <gtest/gtest.h>

#include "http/test_transcript.h"

namespace tare::http {
namespace {

struct Hostile {
  std::string name;
  std::string bytes;
  int status = 400;
};
std::ostream& operator<<(std::ostream& out, const Hostile& hostile) { return out << hostile.name; }

class HostileRequest : public testing::TestWithParam<Hostile> {};

TEST_P(HostileRequest, is_refused_whole_and_byte_by_byte) {
  const auto& [name, bytes, status] = GetParam();
  const auto whole = decode_whole(Side::server, bytes);
  EXPECT_EQ(whole.refused, status) << name;
  for (const auto& message : whole.messages) EXPECT_FALSE(message.complete) << name;
  EXPECT_EQ(decode(Side::server, bytes, [] { return 1; }), whole) << name;
}

std::string with_zero(std::string_view text) {
  std::string out(text);
  out[out.find('@')] = '\0';
  return out;
}

INSTANTIATE_TEST_SUITE_P(
    Framing, HostileRequest,
    testing::Values(
        Hostile{"CL and TE", get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")},
        Hostile{"TE and CL", get("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")},
        Hostile{"TE twice", get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
        Hostile{"TE identity first",
                get("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n")},
        Hostile{"TE xchunked", get("Transfer-Encoding: xchunked\r\n")},
        Hostile{"TE list", get("Transfer-Encoding: gzip, chunked\r\n")},
        Hostile{"TE chunked twice in a list", get("Transfer-Encoding: chunked, chunked\r\n")},
        Hostile{"TE quoted", get("Transfer-Encoding: \"chunked\"\r\n")},
        Hostile{"TE with parameter", get("Transfer-Encoding: chunked;a=b\r\n")},
        Hostile{"TE with vertical tab", get("Transfer-Encoding: \vchunked\r\n")},
        Hostile{"TE empty", get("Transfer-Encoding:\r\n")},
        Hostile{"TE in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        Hostile{"TE on a folded line", get("X: y\r\n Transfer-Encoding: chunked\r\n")},
        Hostile{"two CL that differ", get("Content-Length: 5\r\nContent-Length: 6\r\n")},
        Hostile{"two CL that agree", get("Content-Length: 5\r\nContent-Length: 5\r\n")},
        Hostile{"CL with plus", get("Content-Length: +5\r\n")},
        Hostile{"CL negative", get("Content-Length: -5\r\n")},
        Hostile{"CL list", get("Content-Length: 5, 5\r\n")},
        Hostile{"CL hexadecimal", get("Content-Length: 0x5\r\n")},
        Hostile{"CL with inner space", get("Content-Length: 5 5\r\n")},
        Hostile{"CL with decimals", get("Content-Length: 5.0\r\n")},
        Hostile{"CL empty", get("Content-Length: \r\n")},
        Hostile{"CL beyond 64 bits", get("Content-Length: 18446744073709551621\r\n")},
        Hostile{"CL of 19 digits", get("Content-Length: 9223372036854775808\r\n")}));

INSTANTIATE_TEST_SUITE_P(
    Chunks, HostileRequest,
    testing::Values(Hostile{"size overflows", chunked("ffffffffffffffff1\r\nx")},
                    Hostile{"0x prefix", chunked("0x5\r\nhello\r\n0\r\n\r\n")},
                    Hostile{"size with plus", chunked("+5\r\nhello\r\n0\r\n\r\n")},
                    Hostile{"size negative", chunked("-5\r\nhello\r\n0\r\n\r\n")},
                    Hostile{"space before size", chunked(" 5\r\nhello\r\n0\r\n\r\n")},
                    Hostile{"space behind size", chunked("5 \r\nhello\r\n0\r\n\r\n")},
                    Hostile{"no size", chunked("\r\nhello\r\n0\r\n\r\n")},
                    Hostile{"extension", chunked("5;a=b\r\nhello\r\n0\r\n\r\n")},
                    Hostile{"extension with LF", chunked("5;\nhello\r\n0\r\n\r\n")},
                    Hostile{"extension on the last chunk", chunked("5\r\nhello\r\n0;x\r\n\r\n")},
                    Hostile{"bare LF behind size", chunked("5\nhello\r\n0\r\n\r\n")},
                    Hostile{"bare CR behind size", chunked("5\rhello\r\n0\r\n\r\n")},
                    Hostile{"bare LF behind data", chunked("5\r\nhello\n0\r\n\r\n")},
                    Hostile{"data longer than its size", chunked("4\r\nhello\r\n0\r\n\r\n")},
                    Hostile{"trailer", chunked("0\r\nA: b\r\n\r\n")},
                    Hostile{"trailer with Authorization",
                            chunked("5\r\nhello\r\n0\r\nAuthorization: x\r\n\r\n")},
                    Hostile{"trailer that never ends", chunked("0\r\n" + std::string(100, 'a'))},
                    Hostile{"size that never ends", chunked(std::string(100, '0'))},
                    Hostile{"many leading zeros",
                            chunked(std::string(40, '0') + "5\r\nhello\r\n0\r\n\r\n")}));

INSTANTIATE_TEST_SUITE_P(
    Heads, HostileRequest,
    testing::Values(
        Hostile{"bare LF lines", "GET / HTTP/1.1\nHost: a\n\n"},
        Hostile{"bare LF in a field", get("X: y\nZ: w\r\n")},
        Hostile{"bare CR in a field", get("X: y\rZ: w\r\n")},
        Hostile{"CR CR LF", get("X: y\r\r\n")}, Hostile{"empty line first", "\r\n" + get("")},
        Hostile{"folded with space", get("X: y\r\n z\r\n")},
        Hostile{"folded with tab", get("X: y\r\n\tz\r\n")},
        Hostile{"first field folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
        Hostile{"space before colon", get("X : y\r\n")},
        Hostile{"tab before colon", get("X\t: y\r\n")}, Hostile{"no colon", get("X\r\n")},
        Hostile{"empty name", get(": y\r\n")}, Hostile{"name not ASCII", get("X\xc3\xa9: y\r\n")},
        Hostile{"name with zero", with_zero(get("X@: y\r\n"))},
        Hostile{"value with zero", with_zero(get("X: y@\r\n"))},
        Hostile{"value with escape", get("X: \x1b[0m\r\n")},
        Hostile{"value with DEL", get("X: \x7f\r\n")}, Hostile{"no Host", "GET / HTTP/1.1\r\n\r\n"},
        Hostile{"two Hosts", get("Host: b\r\n")}, Hostile{"two equal Hosts", get("HOST: a\r\n")},
        Hostile{"Host with user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"},
        Hostile{"Host with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
        Hostile{"Host with escape", "GET / HTTP/1.1\r\nHost: a%00b\r\n\r\n"},
        Hostile{"Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"},
        Hostile{"Host empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
        Hostile{"Host not ASCII", "GET / HTTP/1.1\r\nHost: \xd0\xb0\r\n\r\n"},
        Hostile{"Host with bad port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"},
        Hostile{"Host with open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"},
        Hostile{"Connection malformed", get("Connection: a b\r\n")},
        Hostile{"PROXY preamble", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n" + get("")},
        Hostile{"PROXY v2 preamble", with_zero("\r\n\r\n@\r\nQUIT\n")},
        Hostile{"TLS", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)}));

INSTANTIATE_TEST_SUITE_P(
    StartLines, HostileRequest,
    testing::Values(Hostile{"HTTP/0.9", "GET /\r\n\r\n"}, Hostile{"no version", "GET / \r\n\r\n"},
                    Hostile{"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
                    Hostile{"tab", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
                    Hostile{"space at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
                    Hostile{"space in target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
                    Hostile{"raw UTF-8 in target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"},
                    Hostile{"method with slash", "GE/T / HTTP/1.1\r\nHost: a\r\n\r\n"},
                    Hostile{"lower case version", "GET / http/1.1\r\nHost: a\r\n\r\n"},
                    Hostile{"long minor version", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"},
                    Hostile{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
                    Hostile{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
                    Hostile{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
                    Hostile{"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
                    Hostile{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
                    Hostile{"lower case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
                    Hostile{"unknown expectation", get("Expect: 200-ok\r\nContent-Length: 1\r\n"),
                            417},
                    Hostile{"64 KiB request line", "GET /" + std::string(65'536, 'a'), 414},
                    Hostile{"64 KiB field", get("X: " + std::string(65'536, 'a')), 431},
                    Hostile{"ten thousand fields",
                            [] {
                              std::string fields;
                              for (int i = 0; i < 10'000; ++i) fields += "A:\r\n";
                              return get(fields);
                            }(),
                            431},
                    Hostile{"endless fields within their limits",
                            [] {
                              std::string fields;
                              for (int i = 0; i < 90; ++i)
                                fields += "X: " + std::string(1'000, 'a') + "\r\n";
                              return get(fields);
                            }(),
                            431}));

}  // namespace
}  // namespace tare::http

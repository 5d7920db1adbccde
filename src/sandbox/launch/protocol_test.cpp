#include "sandbox/launch/protocol.h"

#include "sandbox/launch/report.h"

namespace tare::sandbox {
namespace {

const std::string kId = "run_01m812hngsk8d1d69w9wnsfv1n";

LaunchMessage launch() {
  LaunchMessage message;
  message.id = kId;
  message.base.plan = "sha256:" + std::string(64, '1');
  message.base.layers = {"sha256:" + std::string(64, '0')};
  message.with_stdin = true;
  return message;
}

TEST(Protocol, a_launch_is_read_as_it_was_written) {
  const auto decoded = decode_to_launcher(encode(ToLauncher(launch())).value(), 9);
  ASSERT_TRUE(decoded) << decoded.error().message;
  const auto& message = std::get<LaunchMessage>(*decoded);
  EXPECT_EQ(message.id, kId);
  EXPECT_EQ(message.base.layers, launch().base.layers);
  EXPECT_TRUE(message.with_stdin);
  EXPECT_EQ(message.base.limits, launch().base.limits);
}

TEST(Protocol, an_end_is_read_as_it_was_written) {
  EndedMessage ended;
  ended.id = kId;
  ended.outcome = {model::EndReason::memory_limit, 0, 9, "text"};
  ended.usage.cpu_us = 5;
  ended.usage.processes_refused = 6;
  ended.usage.inodes_full = true;
  ended.uid_base = 0x70000000;
  ended.with_output = true;
  const auto decoded = decode_from_launcher(encode(FromLauncher(ended)).value(), 1);
  ASSERT_TRUE(decoded) << decoded.error().message;
  const auto& message = std::get<EndedMessage>(*decoded);
  EXPECT_EQ(message.outcome, ended.outcome);
  EXPECT_EQ(message.usage, ended.usage);
  EXPECT_EQ(message.uid_base, ended.uid_base);
}

TEST(Protocol, a_refused_call_is_read_as_it_was_written) {
  const DeniedMessage denied{kId, {CallAbi::i386, 11}, 3};
  const auto decoded = decode_from_launcher(encode(FromLauncher(denied)).value(), 0);
  ASSERT_TRUE(decoded) << decoded.error().message;
  const auto& message = std::get<DeniedMessage>(*decoded);
  EXPECT_EQ(message.id, kId);
  EXPECT_EQ(message.call, denied.call);
  EXPECT_EQ(message.count, 3U);
}

TEST(Protocol, a_welcome_names_the_release_and_the_process) {
  const WelcomeMessage welcome{kLauncherProtocol, 7, "v2", "1.2.3", 0x123456789abcdef0};
  const auto decoded = decode_from_launcher(encode(FromLauncher(welcome)).value(), 0);
  ASSERT_TRUE(decoded) << decoded.error().message;
  const auto& message = std::get<WelcomeMessage>(*decoded);
  EXPECT_EQ(message.version, "1.2.3");
  EXPECT_EQ(message.instance, 0x123456789abcdef0U);
  EXPECT_EQ(message.pid, 7U);
}

TEST(Protocol, of_a_welcome_of_another_protocol_only_that_is_read) {
  const std::string first("\0\1\0\0\0", 5);  // protocol 1
  for (const char* rest : {"", "\x10\x20", "whatever it was then, longer than ours"}) {
    const auto decoded = decode_from_launcher(first + rest, 0);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(std::get<WelcomeMessage>(*decoded).protocol, 1U);
  }
}

TEST(Protocol, a_wrong_number_of_descriptors_is_refused) {
  const std::string bytes = encode(ToLauncher(launch())).value();
  for (const std::size_t fds : {0U, 7U, 8U, 10U})
    EXPECT_FALSE(decode_to_launcher(bytes, fds)) << fds;
}

TEST(Protocol, a_launch_with_a_runner_names_its_digest_and_has_a_pipe_to_report_to) {
  LaunchMessage message = launch();
  message.base.runner = "sha256:" + std::string(64, 'f');
  message.with_report = true;
  const auto decoded = decode_to_launcher(encode(ToLauncher(message)).value(), 11);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(std::get<LaunchMessage>(*decoded).base.runner, message.base.runner);
  EXPECT_TRUE(std::get<LaunchMessage>(*decoded).with_report);
  EXPECT_FALSE(decode_to_launcher(encode(ToLauncher(message)).value(), 9));
  message.base.runner = "sha256:" + std::string(60, 'f') + "/../";
  EXPECT_FALSE(decode_to_launcher(encode(ToLauncher(message)).value(), 11));
  const std::string live = encode(FromLauncher(LiveMessage{kId, true, true, true})).value();
  EXPECT_TRUE(decode_from_launcher(live, 4));
  EXPECT_FALSE(decode_from_launcher(live, 3));
}

TEST(Protocol, what_is_to_be_prepared_comes_with_its_plan) {
  const std::string bytes = encode(ToLauncher(PrepareMessage{7, launch().base})).value();
  EXPECT_TRUE(decode_to_launcher(bytes, 1));
  EXPECT_FALSE(decode_to_launcher(bytes, 0));
  EXPECT_EQ(std::get<PrepareMessage>(*decode_to_launcher(bytes, 1)).number, 7U);
  const auto answer = decode_from_launcher(encode(FromLauncher(PreparedMessage{7, true})).value(),
                                           0);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(std::get<PreparedMessage>(*answer).number, 7U);
  EXPECT_TRUE(std::get<PreparedMessage>(*answer).ready);
}

TEST(Protocol, limits_outside_their_bounds_are_refused_by_name) {
  LaunchMessage message = launch();
  message.base.limits.pids = 0;
  const auto decoded = decode_to_launcher(encode(ToLauncher(message)).value(), 9);
  ASSERT_FALSE(decoded);
  EXPECT_THAT(decoded.error().message, ::testing::HasSubstr("pids"));
}

TEST(Protocol, layers_that_are_not_digests_and_ids_that_are_not_run_ids_are_refused) {
  LaunchMessage message = launch();
  message.base.layers = {"sha256:" + std::string(60, '0') + "/../"};
  EXPECT_FALSE(decode_to_launcher(encode(ToLauncher(message)).value(), 9));
  message = launch();
  message.id = "../../../../etc";
  EXPECT_FALSE(decode_to_launcher(encode(ToLauncher(message)).value(), 9));
}

TEST(Protocol, a_stop_is_answered_with_its_descriptors_or_an_error) {
  EXPECT_TRUE(decode_to_launcher(encode(ToLauncher(StopMessage{kId})).value(), 0));
  EXPECT_TRUE(decode_to_launcher(encode(ToLauncher(GoOnMessage{kId})).value(), 0));
  const std::string good = encode(FromLauncher(StoppedMessage{kId, "", 100'000})).value();
  const auto decoded = decode_from_launcher(good, 2);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(std::get<StoppedMessage>(*decoded).uid_base, 100'000U);
  EXPECT_FALSE(decode_from_launcher(good, 0));
  const std::string based = encode(FromLauncher(StoppedMessage{kId, "", 1, true, 7})).value();
  const auto read = decode_from_launcher(based, 3);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(std::get<StoppedMessage>(*read).processes, 7U);
  EXPECT_FALSE(decode_from_launcher(based, 2));
  const std::string bad = encode(FromLauncher(StoppedMessage{kId, "why", 0})).value();
  EXPECT_TRUE(decode_from_launcher(bad, 0));
  EXPECT_FALSE(decode_from_launcher(bad, 2));
}

TEST(Protocol, a_swap_names_a_digest_and_is_answered_with_what_came_of_it) {
  const std::string digest = "sha256:" + std::string(64, 'c');
  const auto swap = decode_to_launcher(
      encode(ToLauncher(SwapMessage{kId, digest, {digest}})).value(), 0);
  ASSERT_TRUE(swap) << swap.error().message;
  EXPECT_EQ(std::get<SwapMessage>(*swap).runner, digest);
  EXPECT_EQ(std::get<SwapMessage>(*swap).own, std::vector{digest});
  EXPECT_FALSE(
      decode_to_launcher(encode(ToLauncher(SwapMessage{kId, digest, {"../x"}})).value(), 0));
  EXPECT_FALSE(decode_to_launcher(encode(ToLauncher(SwapMessage{kId, "/etc"})).value(), 0));
  const auto answer = decode_from_launcher(
      encode(FromLauncher(SwappedMessage{kId, "why", true, true})).value(), 0);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(std::get<SwappedMessage>(*answer).error, "why");
  EXPECT_TRUE(std::get<SwappedMessage>(*answer).touched);
  EXPECT_TRUE(std::get<SwappedMessage>(*answer).as_made);
}

TEST(Protocol, a_kill_names_one_of_two_reasons) {
  EXPECT_TRUE(decode_to_launcher(
      encode(ToLauncher(KillMessage{kId, model::EndReason::killed})).value(), 0));
  EXPECT_TRUE(decode_to_launcher(
      encode(ToLauncher(KillMessage{kId, model::EndReason::output_limit})).value(), 0));
  EXPECT_FALSE(decode_to_launcher(
      encode(ToLauncher(KillMessage{kId, model::EndReason::exited})).value(), 0));
}

TEST(Protocol, cut_short_or_longer_messages_are_refused) {
  const std::string bytes = encode(ToLauncher(launch())).value();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_to_launcher(std::string_view(bytes).substr(0, size), 9)) << size;
  }
  EXPECT_FALSE(decode_to_launcher(bytes + "x", 9));
  EXPECT_FALSE(decode_to_launcher("\x7f", 0));
  EXPECT_FALSE(decode_from_launcher("\x7f", 0));
}

TEST(Protocol, exec_messages_are_read_as_they_were_written) {
  for (const ToLauncher& message : std::initializer_list<ToLauncher>{
           ExecMessage{kId, 7, true, true, false, false}, ExecMessage{kId, 1, false, false, true},
           ExecMessage{kId, 2, false, true, false, true}, ExecSignalMessage{kId, 7, 64},
           ExecCloseStdinMessage{kId, 7}, ExecReleaseMessage{kId, 7}}) {
    const std::string bytes = encode(message).value();
    const auto* exec = std::get_if<ExecMessage>(&message);
    const auto decoded = decode_to_launcher(bytes, exec != nullptr ? exec->descriptors() : 0);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(encode(*decoded).value(), bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(decode_to_launcher(std::string_view(bytes).substr(0, size), 2)) << size;
  }
  ExecEndedMessage ended{kId, 3, {model::EndReason::signalled, 0, 9, "text"}, 5};
  const auto decoded = decode_from_launcher(encode(FromLauncher(ended)).value(), 0);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(std::get<ExecEndedMessage>(*decoded).outcome, ended.outcome);
  EXPECT_EQ(std::get<ExecEndedMessage>(*decoded).failed_step, 5U);
}

TEST(Protocol, an_exec_has_the_descriptors_of_its_kind) {
  const auto count = [](bool terminal, bool handed_in, bool with_stdin, bool transient) {
    return ExecMessage{kId, 1, terminal, handed_in, with_stdin, transient}.descriptors();
  };
  EXPECT_EQ(count(true, false, false, false), 1U);
  EXPECT_EQ(count(false, false, false, false), 5U);
  EXPECT_EQ(count(false, false, true, false), 7U);
  EXPECT_EQ(count(false, true, false, true), 4U);
  const std::string bytes = encode(ToLauncher(ExecMessage{kId, 1})).value();
  for (const std::size_t fds : {0U, 4U, 6U}) EXPECT_FALSE(decode_to_launcher(bytes, fds)) << fds;
  const std::string live = encode(FromLauncher(LiveExecMessage{kId, 1, true, false, true})).value();
  EXPECT_TRUE(decode_from_launcher(live, 1));
  EXPECT_FALSE(decode_from_launcher(live, 2));
}

TEST(Protocol, execs_that_cannot_be_are_refused) {
  for (const ToLauncher& message : std::initializer_list<ToLauncher>{
           ExecMessage{kId, 0}, ExecMessage{kId, 1, true, false, true, false},
           ExecMessage{kId, 1, true, false, false, true},
           ExecMessage{kId, 1, false, false, true, true}, ExecSignalMessage{kId, 1, 0},
           ExecSignalMessage{kId, 1, 65}, ExecReleaseMessage{"run_x", 1}}) {
    const auto* exec = std::get_if<ExecMessage>(&message);
    EXPECT_FALSE(
        decode_to_launcher(encode(message).value(), exec != nullptr ? exec->descriptors() : 0));
  }
}

TEST(Report, only_whole_known_reports_are_taken) {
  Report report;
  report.kind = ReportKind::ended;
  report.status = 255;
  const auto bytes = [&report] {
    return std::string(reinterpret_cast<const char*>(&report), sizeof report);
  };
  EXPECT_TRUE(parse_report(bytes()));
  EXPECT_FALSE(parse_report(bytes() + "x"));
  EXPECT_FALSE(parse_report(""));
  report.status = 256;
  EXPECT_FALSE(parse_report(bytes()));
  report = Report{};
  report.magic = 0;
  EXPECT_FALSE(parse_report(bytes()));
  report = Report{};
  report.kind = static_cast<ReportKind>(9);
  EXPECT_FALSE(parse_report(bytes()));
  report = Report{};
  report.error = -1;
  EXPECT_FALSE(parse_report(bytes()));
}

TEST(DeniedReport, only_whole_sensible_ones_are_taken) {
  const auto bytes = [](const DeniedReport& report) {
    return std::string(reinterpret_cast<const char*>(&report), sizeof report);
  };
  const DeniedReport good = DeniedReport::of({CallAbi::x86_64, 101}, 1);
  ASSERT_TRUE(parse_denied(bytes(good)));
  EXPECT_EQ(parse_denied(bytes(good))->call(), (DeniedCall{CallAbi::x86_64, 101}));
  EXPECT_FALSE(parse_denied(bytes(good) + "x"));
  EXPECT_FALSE(parse_denied(""));
  EXPECT_FALSE(parse_denied(bytes(DeniedReport{.magic = Report::kMagic, .count = 1})));
  EXPECT_FALSE(parse_denied(bytes(DeniedReport{.abi = 4, .count = 1})));
  EXPECT_FALSE(parse_denied(bytes(DeniedReport{.spare = 1, .count = 1})));
  EXPECT_FALSE(parse_denied(bytes(DeniedReport{.count = 0})));
}

}  // namespace
}  // namespace tare::sandbox

// /v1/runs/{id}/execs: programs that are started in a live sandbox.
#include <signal.h>

#include <array>
#include <charconv>

#include <fmt/format.h>

#include "api/answers.h"
#include "api/handlers.h"
#include "api/log_stream.h"
#include "api/pipes.h"
#include "base/text.h"
#include "fiber/task_group.h"
#include "model/exec_json.h"
#include "sys/files.h"

namespace tare::api {

namespace {

constexpr std::array<std::pair<std::string_view, int>, 12> kSignals = {{{"HUP", SIGHUP},
                                                                        {"INT", SIGINT},
                                                                        {"QUIT", SIGQUIT},
                                                                        {"KILL", SIGKILL},
                                                                        {"TERM", SIGTERM},
                                                                        {"USR1", SIGUSR1},
                                                                        {"USR2", SIGUSR2},
                                                                        {"STOP", SIGSTOP},
                                                                        {"CONT", SIGCONT},
                                                                        {"TSTP", SIGTSTP},
                                                                        {"WINCH", SIGWINCH},
                                                                        {"ALRM", SIGALRM}}};

Result<int> signal_from(std::string_view text) {
  for (const auto& [name, number] : kSignals) {
    if (text == name) return number;
  }
  std::vector<std::string_view> names;
  for (const auto& [name, number] : kSignals) names.push_back(name);
  return Error{Errc::invalid,
               fmt::format("{} is not a signal; allowed: {}", quote(text), joined(names))};
}

struct ExecPath {
  std::string run;
  std::uint32_t number = 0;
};

Result<ExecPath> exec_path(Exchange& exchange) {
  ExecPath path{TRY(run_id_of(exchange)), 0};
  const std::string& text = exchange.parameter("number");
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), path.number);
  if (error != std::errc() || end != text.data() + text.size() || path.number == 0)
    return Error{Errc::not_found, fmt::format("{} is not an exec's number", quote(text))};
  return path;
}

// The body of one request goes to its stdin, or is typed into its terminal.
Result<> feed(Exchange& exchange, host::LiveExec& live, std::uint64_t& given,
              const fiber::Context& ctx) {
  const sys::UniqueFd input = TRY(sys::dup_fd(live.input()));
  return copy_body(exchange, input.get(), given, ctx);
}

// While it lives no other request may feed the exec.
class Feeder {
 public:
  explicit Feeder(host::LiveExec& live) : live_(live) { live_.stdin_taken = true; }
  Feeder(const Feeder&) = delete;
  Feeder& operator=(const Feeder&) = delete;
  ~Feeder() { live_.stdin_taken = false; }

 private:
  host::LiveExec& live_;
};

}  // namespace

Result<> create_exec(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({}));
  const std::string id = TRY(run_id_of(exchange));
  const Json body = TRY(read_json(exchange));
  const auto live = TRY(
      services.execs.create(id, TRY(model::read_exec_request(Node(body))), exchange.context()));
  return reply_json(exchange, 201, model::to_json(live->exec),
                    {{"Location", fmt::format("/v1/runs/{}/execs/{}", id, live->exec.number)}});
}

Result<> list_execs(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({}));
  const std::string id = TRY(run_id_of(exchange));
  JsonArray execs;
  for (const model::Exec& exec : TRY(services.execs.list(id)))
    execs.push_back(model::to_json(exec));
  return reply_json(exchange, 200, JsonObject{{"execs", std::move(execs)}});
}

Result<> get_exec(Services& services, Exchange& exchange) {
  const ExecPath path = TRY(exec_path(exchange));
  return reply_json(exchange, 200, model::to_json(TRY(services.execs.get(path.run, path.number))));
}

Result<> get_exec_logs(Services& services, Exchange& exchange) {
  const ExecPath path = TRY(exec_path(exchange));
  const LogQuery query = TRY(read_log_query(exchange.query()));
  const auto live = services.execs.live(path.run, path.number);
  if (!live) TRY(services.execs.get(path.run, path.number));  // it has ended: all of it is there
  const auto log = TRY(services.execs.open_log(path.run, path.number));
  const bool attached = query.attach && live && live->exec.request.attach;
  TRY(copy_log(exchange, *log, query, attached, [&] { return !live || live->recorded; }));
  const model::Exec exec = live ? live->exec : TRY(services.execs.get(path.run, path.number));
  return send_end(exchange, model::to_json(exec));
}

Result<> write_exec_stdin(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"keep_open"}));
  const bool keep_open = TRY(flag(exchange.query(), "keep_open", false));
  const ExecPath path = TRY(exec_path(exchange));
  const auto live = TRY(services.execs.need_live(path.run, path.number));
  const bool has_one = live->exec.request.with_stdin || live->exec.request.terminal;
  if (!has_one) return Error{Errc::conflict, "this exec was made without stdin"};
  if (live->stdin_taken) return Error{Errc::conflict, "this exec's stdin is fed already"};
  const Feeder feeder(*live);
  const auto over = [&] { return live->ended.has_value(); };
  TRY(live->changed.wait_until([&] { return live->has_input() || over(); }, exchange.context()));
  std::uint64_t given = 0;
  Result<> fed;
  bool done = !live->has_input();
  {
    fiber::TaskGroup group(exchange.context());
    if (!done) {
      group.spawn([&](const fiber::Context& ctx) {
        fed = feed(exchange, *live, given, ctx);
        done = true;
        live->notify();
      });
    }
    // The program may end while the client has nothing to send.
    TRY(live->changed.wait_until([&] { return done || over(); }, exchange.context()));
  }
  if (!over()) TRY(fed);  // a client that broke off has not ended the input
  if (!keep_open && !over()) TRY(services.execs.close_stdin(*live, exchange.context()));
  return reply_json(exchange, 200, JsonObject{{"bytes", given}});
}

Result<> signal_exec(Services& services, Exchange& exchange) {
  const ExecPath path = TRY(exec_path(exchange));
  const Json body = TRY(read_json(exchange));
  int signal = SIGTERM;
  const Node node(body);
  Fields fields(node);
  fields.optional("signal", signal, parsed(signal_from));
  TRY(fields.finish());
  TRY(services.execs.signal(path.run, path.number, signal, exchange.context()));
  return exchange.reply({.status = 204});
}

Result<> resize_exec(Services& services, Exchange& exchange) {
  const ExecPath path = TRY(exec_path(exchange));
  const Json body = TRY(read_json(exchange));
  TRY(services.execs.resize(path.run, path.number, TRY(model::read_terminal_size(Node(body)))));
  return exchange.reply({.status = 204});
}

}  // namespace tare::api

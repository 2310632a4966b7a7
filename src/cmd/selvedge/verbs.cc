#include "cmd/selvedge/verbs.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/config.h"
#include "base/file.h"
#include "cmd/cli/cli.h"
#include "cmd/eval/eval.h"
#include "cmd/fleet/verbs.h"
#include "cmd/registry/verbs.h"

namespace selvedge {
namespace {

constexpr std::array kVerbs = {
    Verb{"run", "run one pipeline: capture, infer, track, decide, publish", nullptr},
    Verb{"tune", "measure engines, variants and threads on this machine and choose", nullptr},
    Verb{"inspect", "show a model or a package: what it holds, engines that load it, its card",
         nullptr},
    Verb{"eval", "measure recorded detections against labels", EvalMain},
    Verb{"push", "make a package of a model and send it to the registry", PushMain},
    Verb{"pull", "get a package from the registry", PullMain},
    Verb{"registry", "a registry of models, or a mirror of one", nullptr},
    Verb{"token", "tokens with which devices join and people sign in", TokenMain},
    Verb{"apply", "apply a deployment manifest to the fleet", ApplyMain},
    Verb{"delete", "take an application off the devices, or a device out of the fleet", DeleteMain},
    Verb{"get", "list applications, devices, sites, packages", GetMain},
    Verb{"describe", "all about one device or application", DescribeMain},
    Verb{"devices", "the devices of the fleet", DevicesMain},
    Verb{"events", "what the fleet saw", EventsMain},
    Verb{"logs", "what a device's agent or service wrote", LogsMain},
    Verb{"agent", "a device's agent", nullptr},
    Verb{"gateway", "a site's gateway", nullptr},
    Verb{"cloud", "the control plane", nullptr},
    Verb{"demo", "the whole fleet on this machine, on a real video", nullptr},
    Verb{"bench", "measure pipelines, engines and fleets", nullptr},
};

void PrintHelp(std::FILE* out) {
  std::fputs(
      "selvedge - put a trained model to work on edge devices\n\n"
      "Usage: selvedge VERB [ARGUMENTS]\n\nVerbs:\n",
      out);
  for (const Verb& verb : kVerbs) {
    std::fprintf(out, "  %-9s %s\n", std::string(verb.name).c_str(),
                 std::string(verb.summary).c_str());
  }
  std::fputs(
      "\nExample: selvedge run examples/safety-monitor/pipeline.yaml\n"
      "selvedge VERB --help says more; selvedge --version tells the version.\n",
      out);
}

int Execute(std::string_view verb, int argc, char** argv) {
  Result<std::string> folder = ExecutableFolder();
  if (!folder) return cli::Fail(verb, folder.error());
  std::string path = *folder + "/selvedge-" + std::string(verb);
  std::vector<char*> arguments(argv + 1, argv + argc);
  arguments[0] = path.data();  // what process lists show
  arguments.push_back(nullptr);
  execv(path.c_str(), arguments.data());
  return cli::Fail(
      verb, ErrnoError(errno, "cannot start " + path +
                                  ", which belongs beside selvedge; is that part installed?"));
}

}  // namespace

std::span<const Verb> Verbs() {
  return kVerbs;
}

int Dispatch(int argc, char** argv) {
  if (argc < 2) {
    PrintHelp(stderr);
    return cli::kExitMisuse;
  }
  const std::string_view name = argv[1];
  if (name == "--help" || name == "-h" || name == "help") {
    PrintHelp(stdout);
    return cli::kExitOk;
  }
  if (name == "--version") {
    std::puts("selvedge " SELVEDGE_VERSION);
    return cli::kExitOk;
  }
  std::vector<std::string> names;
  for (const Verb& verb : kVerbs) {
    if (verb.name == name) {
      return verb.main != nullptr ? verb.main(argc - 1, argv + 1) : Execute(name, argc, argv);
    }
    names.emplace_back(verb.name);
  }
  const std::string_view near = NearestWord(name, names);
  std::fprintf(stderr, "selvedge: error: no verb \"%s\"%s; see selvedge --help\n", argv[1],
               near.empty() ? "" : ("; did you mean \"" + std::string(near) + "\"?").c_str());
  return cli::kExitMisuse;
}

}  // namespace selvedge

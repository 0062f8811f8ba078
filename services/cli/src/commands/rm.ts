import { targetCommand } from "../target-command.ts";

export const rmCommand = targetCommand<{ readonly force?: boolean }>(
  {
    name: "rm",
    description: "delete sandboxes with their containers, or single containers",
    examples: ["rm job", "rm -f web", "rm web/helper", "rm --all --force"],
    verb: { base: "delete", ing: "deleting", done: "deleted" },
    all: "every sandbox",
    sandbox: (api, request, call, { force = false }) =>
      api.sandboxes.deleteSandbox({ ...request, force }, call),
    container: (api, request, call, { force = false }) =>
      api.containers.deleteContainer({ ...request, force }, call),
  },
  (command) => command.option("-f, --force", "stop it first if it runs"),
);

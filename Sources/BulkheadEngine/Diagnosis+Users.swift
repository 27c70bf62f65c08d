import BulkheadHost

extension Diagnosis {
    var users: Finding {
        let features = facts.features
        if features.canSwitchUsers {
            return Finding(
                "users",
                .present,
                "each attempt gets a user of its own; an ordinary user's handlers would share that user"
            )
        }
        let missing = [(Capability.chown, "CAP_CHOWN"), (.setGID, "CAP_SETGID"), (.setUID, "CAP_SETUID")]
            .filter { !features.has($0.0) }.map(\.1)
        return Finding(
            "users",
            .partly,
            features.isRoot
                ? "root without \(missing.joined(separator: ", ")): handlers run as root without capabilities"
                : "handlers share the supervisor's user; as root each attempt would get one of its own",
            advice: features.isRoot ? "give the container these capabilities" : "run the supervisor as root"
        )
    }

    private func group(_ name: String, _ holds: Bool, _ controller: String) -> Finding {
        guard !holds else {
            return Finding(
                "limits.\(name)",
                .present,
                "control groups with the controller \(controller) can be made"
            )
        }
        return Finding(
            "limits.\(name)",
            .missing,
            "no control group with the controller \(controller) can be made: policies that name this limit refuse to launch",
            advice: facts.features.isRoot
                ? "in a container, mount /sys/fs/cgroup writable (with a cgroup namespace of its own)"
                : "run as root, or in a systemd unit with Delegate=yes"
        )
    }

    var memory: Finding { group("memory", facts.cgroups.holdsMemory, "memory") }
    var processes: Finding {
        guard !facts.cgroups.holdsProcesses, namespacesHoldProcesses else {
            return group("processes", facts.cgroups.holdsProcesses, "pids")
        }
        return Finding("limits.processes", .present, "counted in each task's user namespace (RLIMIT_NPROC)")
    }

    var killing: Finding {
        guard facts.features.namespaces == nil else {
            return Finding(
                "ending trees",
                .present,
                "a task's processes end with the first of their pid namespace, which ends with the launcher"
            )
        }
        return facts.cgroups.canMakeUnified
            ? Finding(
                "ending trees",
                .present,
                "cgroup.kill ends a task's processes at once, whatever they do"
            )
            : Finding(
                "ending trees",
                .partly,
                "no version 2 control groups can be made: the launcher finds and kills a task's processes one by one",
                advice: facts.features.isRoot
                    ? "mount the version 2 hierarchy writable" : "run the supervisor as root"
            )
    }
}

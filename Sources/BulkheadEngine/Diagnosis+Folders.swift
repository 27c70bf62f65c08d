import BulkheadCore
import BulkheadHost

extension Diagnosis {
    var state: Finding {
        let folder = facts.state
        let place = "\(folder.path) (\(folder.type ?? "unknown file system"))"
        if let problem = folder.problem { return Finding("state folder", .missing, problem) }
        if folder.isOnNetwork || !folder.isWritable {
            let why =
                folder.isOnNetwork
                ? "a network file system keeps neither locks nor a database" : "it is read-only"
            return Finding(
                "state folder",
                .missing,
                "\(place): \(why)",
                advice: "choose a folder on a local disk with --state"
            )
        }
        if folder.isCopyOnWrite || folder.isMemory {
            let why =
                folder.isMemory
                ? "memory: tasks do not survive a reboot"
                : "copy-on-write: the reserve for final results cannot be held when the disk is full"
            return Finding(
                "state folder",
                .partly,
                "\(place): \(why)",
                advice: "use ext4 or xfs for the state folder"
            )
        }
        return Finding("state folder", .present, place)
    }

    var disk: Finding {
        let free = facts.state.freeBytes
        let unit: Int64 = free < 10 << 30 ? 1 << 20 : 1 << 30
        let text = "\(Quantities.text(bytes: free / unit * unit)) free for the database"
        guard free < Self.littleDisk else { return Finding("disk", .present, text) }
        return Finding("disk", free < Self.leastDisk ? .missing : .partly, text, advice: "make room there")
    }

    /// What the spool's cap and its log need by default, and what a start needs.
    private static let littleDisk: Int64 = 256 << 20
    private static let leastDisk: Int64 = 16 << 20

    var scratch: Finding {
        let folder = facts.scratch
        let place = "\(folder.path) (\(folder.type ?? "unknown file system"))"
        let problem =
            folder.problem
            ?? (folder.isExecutable ? nil : "\(place) is mounted noexec: handlers cannot run from it")
            ?? (folder.isWritable ? nil : "\(place) is read-only")
        if let problem {
            return Finding(
                "scratch",
                .missing,
                problem,
                advice: "choose another folder with the setting scratch"
            )
        }
        guard folder.isMemory else { return Finding("scratch", .present, place) }
        return Finding(
            "scratch",
            .partly,
            "\(place): what handlers write is memory",
            advice: "choose a folder on a disk"
        )
    }

    // MARK: Programs

    var openFiles: Finding {
        let (soft, hard) = facts.openFiles
        let text =
            "a supervisor may open \(hard) files (its limit is \(soft) now, and is raised at its start)"
        return hard >= 4_096
            ? Finding("open files", .present, text)
            : Finding("open files", .partly, text, advice: "raise it: ulimit -Hn, or LimitNOFILE in the unit")
    }

    var database: Finding {
        guard Self.hasWALResetBug(facts.database) else { return Finding("SQLite", .present, facts.database) }
        return Finding(
            "SQLite",
            .partly,
            "\(facts.database) has the WAL-reset bug, which needs two writers; Bulkhead has one",
            advice: "open the database by no other program that writes while the supervisor runs"
        )
    }

    /// Whether a version has the bug: from 3.7.0 to 3.51.2, but for 3.44.6 and 3.50.7 (sqlite.org/wal.html).
    static func hasWALResetBug(_ version: String) -> Bool {
        let parts = version.split(separator: ".").compactMap { Int($0) }
        guard parts.count >= 3, parts[0] == 3, parts[1] >= 7 else { return false }
        switch parts[1] {
        case 44: return parts[2] < 6
        case 50: return parts[2] < 7
        case 51: return parts[2] < 3
        default: return parts[1] < 51
        }
    }

    var units: Finding {
        guard facts.hasSystemd else {
            return Finding(
                "systemd",
                .partly,
                "it does not run this host; whoever starts the supervisor must restart it"
            )
        }
        return facts.units.count == 2
            ? Finding("systemd", .present, "\(facts.units.joined(separator: " and ")) are installed")
            : Finding(
                "systemd",
                .partly,
                "Bulkhead's units are not installed",
                advice: "run scripts/install, or keep starting bulkhead serve yourself"
            )
    }
}

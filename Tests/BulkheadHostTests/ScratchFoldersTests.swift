import BulkheadCore
import Foundation
import Synchronization
import Testing

@testable import BulkheadHost

@Suite("ScratchFolders")
struct ScratchFoldersTests {
    /// Keeps what is reported.
    private final class Reports: Sendable {
        let all = Mutex<[String]>([])
        func add(_ text: String) { all.withLock { $0.append(text) } }
    }

    private let folder: HostFolder
    private let state: StateFolder
    private let reports = Reports()

    init() throws {
        folder = try HostFolder()
        state = try StateFolder.open(folder("state"))
    }

    private func open(_ root: String? = nil) throws(BulkheadError) -> ScratchFolders {
        try ScratchFolders(root: root ?? folder("scratch"), state: state) { [reports] in reports.add($0) }
    }

    private func refused(_ root: String) -> BulkheadError? {
        refusal { () throws(BulkheadError) in try open(root) }
    }

    private func names(in path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path)
    }

    @Test("folders are private, in folders that can be passed and not listed, whatever the umask")
    func modes() throws {
        let scratch = try open()
        #expect(scratch.tasksFolder == folder("scratch/\(state.identity)/tasks"))
        #expect(scratch.handlersFolder == folder("scratch/\(state.identity)/handlers"))
        for (name, mode) in [("scratch", 0o711), ("scratch/\(state.identity)", 0o711)] as [(String, UInt16)] {
            #expect(try FileStatus.of(folder(name)).mode == mode)
        }
        #expect(try FileStatus.of(scratch.tasksFolder).mode == 0o711)
        #expect(try FileStatus.of(scratch.handlersFolder).mode == 0o755)
        let (one, two) = (try scratch.make(), try scratch.make())
        #expect(one != two)
        #expect(try FileStatus.of(one).mode == 0o700)
        #expect(try FileStatus.of(one).uid == geteuid())
    }

    @Test("a folder belongs to the handler's user", .enabled(if: Rights.isRoot, Rights.needsRoot))
    func owner() throws {
        let status = try FileStatus.of(open().make(uid: 2_000_000_001, gid: 2_000_000_002))
        #expect(status.uid == 2_000_000_001 && status.gid == 2_000_000_002 && status.mode == 0o700)
    }

    @Test(
        "a folder that cannot be given to its user is not left behind",
        .enabled(if: Rights.isNotRoot, "root can give a file to anybody")
    )
    func ownerRefused() throws {
        let scratch = try open()
        #expect(refusal { () throws(BulkheadError) in try scratch.make(uid: 1) }?.code == .host)
        #expect(try names(in: scratch.tasksFolder).isEmpty)
    }

    @Test("a folder is removed in the background with all that is in it")
    func removes() async throws {
        let scratch = try open()
        let path = try scratch.make()
        try folder.file(String(path.dropFirst(folder.path.utf8.count + 1)) + "/file", "x")
        scratch.remove(path)
        scratch.remove(path)
        await scratch.finishRemovals()
        #expect(try names(in: scratch.tasksFolder).isEmpty)
        #expect(reports.all.withLock(\.self) == [])
    }

    @Test("only a working folder of ours is ever removed", arguments: ["..", ".", "", "x/../../..", "/etc"])
    func foreignPaths(_ name: String) async throws {
        let scratch = try open()
        scratch.remove(name.hasPrefix("/") ? name : scratch.tasksFolder + "/" + name)
        await scratch.finishRemovals()
        #expect(reports.all.withLock(\.count) == 1)
        #expect(try FileStatus.of(scratch.tasksFolder).kind == .folder)
    }

    @Test("a sweep removes a former supervisor's leftovers, not those kept, made later or of others")
    func sweep() async throws {
        var (kept, left) = ("", "")
        do {
            let former = try open()
            (kept, left) = (try former.make(), try former.make())
        }
        let other = try StateFolder.open(folder("other"))
        let others = try ScratchFolders(root: folder("scratch"), state: other) { [reports] in reports.add($0)
        }
        let foreign = try others.make()
        let scratch = try open()
        scratch.sweep(keeping: [kept])
        let later = try scratch.make()
        await scratch.finishRemovals()
        for (path, stays) in [(kept, true), (left, false), (foreign, true), (later, true)] {
            #expect(FileManager.default.fileExists(atPath: path) == stays, "\(path)")
        }
        #expect(reports.all.withLock(\.self) == [])
    }

    @Test(
        "what cannot be removed is reported",
        .enabled(if: Rights.canMount, "only who may mount can make one")
    )
    func reported() async throws {
        let scratch = try open()
        let path = try scratch.make()
        try #require(await Program.run("/bin/mount", ["-t", "tmpfs", "t", path]).status == 0)
        scratch.remove(path)
        await scratch.finishRemovals()
        #expect(
            reports.all.withLock(\.self) == [
                "\(path) cannot be removed: something is mounted there; unmount it"
            ]
        )
        #expect(try await Program.run("/bin/umount", [path]).status == 0)
    }

    @Test("a copy of the state folder does not share its scratch folder")
    func copied() throws {
        let scratch = try open()
        try folder.folder("copy", mode: 0o700)
        try folder.file("copy/identity", state.identity + "\n")
        let copy = try StateFolder.open(folder("copy"))
        let error = refusal { () throws(BulkheadError) in
            try ScratchFolders(root: folder("scratch"), state: copy) { _ in }
        }
        #expect(error?.code == .unavailable)
        #expect(error?.advice?.contains("\(folder("copy"))/identity") == true)
        #expect(scratch.tasksFolder.contains(state.identity))
    }

    @Test("a root that cannot serve is refused with its reason")
    func roots() throws {
        try folder.folder("open", mode: 0o777)
        #expect(refused(folder("open"))?.message == "\(folder("open")) is writable by everybody (mode 0777)")
        for name in ["scratch", "\u{301}scratch"] {
            let error = refused(folder("state/" + name))
            #expect(
                error?.message.contains("lies in the state folder") == true,
                "a combining mark hides a slash"
            )
        }
        #expect(refused(folder("no/scratch"))?.message.hasSuffix("no/scratch cannot be made") == true)
        #expect(refused("/run")?.code == .invalidSetting)
        try folder.file("file", "x")
        #expect(refused(folder("file"))?.message.contains("is a file") == true)
    }

    @Test(
        "a root on a file system that forbids execution is refused",
        .enabled(if: Rights.canMount, "only who may mount can make one")
    )
    func noExecution() async throws {
        try folder.folder("disk")
        let mount = try await Program.run(
            "/bin/mount",
            ["-t", "tmpfs", "-o", "noexec,mode=755", "t", folder("disk")]
        )
        try #require(mount.status == 0)
        let error = refused(folder("disk/scratch"))
        #expect(error?.message.contains("mounted noexec") == true)
        #expect(try await Program.run("/bin/umount", [folder("disk")]).status == 0)
    }

    @Test(
        "a root that handlers cannot reach is refused",
        .enabled(if: Rights.isRoot, "only root has others to let in")
    )
    func passage() throws {
        try folder.folder("closed", mode: 0o700)
        let error = refused(folder("closed/scratch"))
        #expect(error?.advice?.hasPrefix("run chmod o+x \(folder("closed")), ") == true)
    }

    @Test("the default is a service's own folder, else one of the user's in /var/tmp")
    func defaults() {
        #expect(ScratchFolders.defaultRoot(statePath: "/var/lib/bulkhead") == "/var/lib/bulkhead-scratch")
        #expect(
            ScratchFolders.defaultRoot(statePath: "/home/x/.bulkhead") == "/var/tmp/bulkhead-\(geteuid())"
        )
    }
}

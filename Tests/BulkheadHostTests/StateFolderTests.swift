import BulkheadCore
import Foundation
import Testing

@testable import BulkheadHost

@Suite("StateFolder")
struct StateFolderTests {
    private let folder: HostFolder
    private var path: String { folder("state") }

    init() throws {
        folder = try HostFolder()
    }

    private func refused(_ path: String) -> BulkheadError? {
        refusal { () throws(BulkheadError) in try StateFolder.open(path) }
    }

    @Test("it is made private, with the folders above it, and says where it is")
    func made() throws {
        let path = folder("a/b/state")
        let state = try StateFolder.open(path + "/.")
        #expect(state.path == path)
        #expect(state.databasePath == path + "/bulkhead.sqlite")
        #expect(try FileStatus.of(path).mode == 0o700)
        for name in ["lock", "identity"] { #expect(try FileStatus.of(path + "/" + name).mode == 0o600) }
        let names = try FileManager.default.contentsOfDirectory(atPath: path)
        #expect(Set(names) == ["lock", "identity"])
    }

    @Test("its identity stays with it, and no other has the same")
    func identity() throws {
        let first = try StateFolder.open(path).identity
        #expect(first.utf8.count == 16)
        #expect(try StateFolder.open(path).identity == first)
        #expect(try StateFolder.open(folder("other")).identity != first)
        try folder.file("state/identity", "../../etc\n")
        let fresh = try StateFolder.open(path).identity
        #expect(fresh != first && fresh.utf8.count == 16 && !fresh.contains("."))
    }

    @Test("a second supervisor is told who has it, until the first lets it go")
    func taken() throws {
        let state = try StateFolder.open(path)
        let error = refused(path)
        #expect(error?.code == .unavailable)
        #expect(error?.message == "the state folder \(path) is taken by another supervisor (pid \(getpid()))")
        state.release()
        #expect(throws: Never.self) { try StateFolder.open(path) }
    }

    @Test(
        "a folder that is open to others is refused with the command that mends it",
        arguments: [0o750, 0o701]
    )
    func mode(_ mode: mode_t) throws {
        try folder.folder("state", mode: mode)
        let error = refused(path)
        #expect(
            error?.message == "the state folder \(path) is open to others (mode 0\(String(mode, radix: 8)))"
        )
        #expect(error?.advice == "run chmod 0700 \(path)")
    }

    @Test("a folder that others can write, or below such a one, is refused")
    func writable() throws {
        try folder.folder("state", mode: 0o777)
        #expect(refused(path)?.code == .invalidSetting)
        try folder.folder("open", mode: 0o777)
        #expect(
            refused(folder("open/state"))?.message == "\(folder("open")) is writable by everybody (mode 0777)"
        )
    }

    @Test("another user's folder is refused", .enabled(if: Rights.isRoot, Rights.needsRoot))
    func foreign() throws {
        try folder.folder("state", mode: 0o700)
        try folder.give("state", to: 54_321)
        #expect(refused(path)?.message == "\(path) belongs to user 54321, not to root")
    }

    @Test("a folder that cannot be made says why")
    func cannotMake() throws {
        try folder.file("file", "x")
        #expect(refused(folder("file/state"))?.code == .invalidSetting)
        #expect(refused(folder("file"))?.message == "\(folder("file")) is a file, not a folder")
        #expect(
            refused("/proc/bulkhead-state")?.message == "the state folder /proc/bulkhead-state cannot be made"
        )
    }

    @Test("a folder that cannot be written says so", .enabled(if: Rights.isNotRoot, Rights.bindsNotRoot))
    func cannotWrite() throws {
        try folder.folder("state", mode: 0o500)
        let error = refused(path)
        #expect(error?.code == .storage)
        #expect(error?.message == "the state folder \(path) cannot be written")
        #expect(error?.cause == SystemFailure(EACCES).description)
    }

    @Test(
        "a read-only or full file system says so, and what to do",
        .enabled(if: Rights.canMount, "only who may mount can make one")
    )
    func fileSystems() async throws {
        try folder.folder("disk")
        let mount = try await Program.run(
            "/bin/mount",
            ["-t", "tmpfs", "-o", "size=64k,mode=755", "t", folder("disk")]
        )
        try #require(mount.status == 0)
        try folder.folder("disk/state", mode: 0o700)
        let full = folder("disk/fill")
        _ = try? OpenDescriptor.open(full, O_WRONLY | O_CREAT, mode: 0o600)
            .writeAll([UInt8](repeating: 1, count: 128 << 10))
        let noRoom = refused(folder("disk/state"))
        #expect(noRoom?.code == .storage)
        #expect(noRoom?.cause == SystemFailure(ENOSPC).description)
        #expect(noRoom?.advice?.hasPrefix("make room") == true)
        try FileManager.default.removeItem(atPath: full)
        _ = try await Program.run("/bin/mount", ["-o", "remount,ro", folder("disk")])
        let readOnly = refused(folder("disk/state"))
        #expect(readOnly?.cause == SystemFailure(EROFS).description)
        #expect(readOnly?.advice?.contains("writable file system") == true)
        #expect(try await Program.run("/bin/umount", [folder("disk")]).status == 0)
    }

    @Test("network file systems are refused with the way out, local ones are not")
    func types() {
        for type in ["nfs4", "cifs", "9p"] {
            let error = refusal { () throws(BulkheadError) in try StateFolder.checkType(type, "/srv/state") }
            #expect(error?.message.contains("network file system (\(type))") == true)
            #expect(error?.advice?.contains("--state") == true)
        }
        for type in ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "fuse.lazyfs"] {
            #expect(throws: Never.self) { try StateFolder.checkType(type, "/srv/state") }
        }
    }

    @Test("runtime.json is replaced as a whole, read back and removed")
    func runtime() throws {
        let state = try StateFolder.open(path)
        #expect(try state.readRuntime() == nil)
        try state.removeRuntime()
        for content in ["{\"pools\":{}}", "{}"] {
            try state.writeRuntime(Array(content.utf8))
            #expect(try state.readRuntime() == Array(content.utf8))
            #expect(try FileStatus.of(path + "/runtime.json").mode == 0o600)
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: path)
        #expect(Set(names) == ["lock", "identity", "runtime.json"])
        try state.removeRuntime()
        #expect(try state.readRuntime() == nil)
    }

    @Test("a runtime.json that we cannot have written is an error, not a crash")
    func largeRuntime() throws {
        let state = try StateFolder.open(path)
        try folder.file(
            "state/runtime.json",
            bytes: [UInt8](repeating: 32, count: StateFolder.runtimeBytes + 1)
        )
        #expect(refusal { () throws(BulkheadError) in try state.readRuntime() }?.code == .storage)
        try FileManager.default.removeItem(atPath: path)
        #expect(refusal { () throws(BulkheadError) in try state.writeRuntime([1]) }?.code == .storage)
    }
}

import BulkheadCore
import BulkheadLaunch
import Foundation
import Testing

@testable import BulkheadHost

@Suite("HandlerStore")
struct HandlerStoreTests {
    private let folder: HostFolder
    private let store: HandlerStore

    init() throws {
        folder = try HostFolder()
        try folder.folder("plugins")
        store = try HandlerStore(copiesFolder: folder("copies"))
    }

    private func status(_ path: String) throws -> FileStatus { try FileStatus.of(path) }

    @Test("a handler's bytes lie ready as a copy that nobody writes, under their digest")
    func copies() throws {
        let text = "#!/bin/sh\nexit 7\n"
        let path = try folder.file("plugins/job.sh", text, mode: 0o755)
        let handler = try store.take(path: path)
        let digest = SHA256.digest(Array(text.utf8))
        #expect(handler.digest == digest)
        #expect(handler.copyPath == folder("copies/\(digest)/job.sh"))
        #expect(handler.name == "job.sh")
        #expect(handler.kind == .script)
        #expect(handler.executable == "/bin/sh")
        #expect(handler.command(adding: ["a"]) == ["/bin/sh", handler.copyPath, "a"])
        #expect(try String(contentsOfFile: handler.copyPath, encoding: .utf8) == text)
        #expect(try status(handler.copyPath).mode == 0o555)
        for way in ["copies", "copies/\(digest)"] { #expect(try status(folder(way)).mode == 0o755) }
        #expect(store.isReady(handler))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder("copies")) == [digest])
    }

    @Test("a copy of a program runs at once")
    func programs() async throws {
        let path = folder("plugins/truth")
        try FileManager.default.copyItem(atPath: "/bin/true", toPath: path)
        try folder.setMode("plugins/truth", 0o755)
        let handler = try store.take(path: path)
        #expect(handler.kind == .elf)
        #expect(handler.command() == [handler.copyPath])
        let ended = try await Program.run(handler.executable, [])
        #expect(ended.status == 0 && !ended.wasKilled)
    }

    @Test("what is done to the file afterwards does not reach the copy")
    func swapped() throws {
        let path = try folder.file("plugins/job", "#!/bin/sh\nexit 1\n", mode: 0o755)
        let handler = try store.take(path: path)
        let file = try OpenDescriptor.open(path, O_WRONLY)
        try file.writeAll(Array("#!/bin/sh\nexit 2\n".utf8))
        #expect(try String(contentsOfFile: handler.copyPath, encoding: .utf8) == "#!/bin/sh\nexit 1\n")
        try FileManager.default.removeItem(atPath: path)
        #expect(store.isReady(handler))
        #expect(refusal { () throws(BulkheadError) in try store.take(path: path) }?.code == .notFound)
    }

    @Test("a change of the same size gives another digest, an unchanged file the same copy")
    func changed() throws {
        let path = try folder.file("plugins/job", "#!/bin/sh\nexit 1\n", mode: 0o755)
        let first = try store.take(path: path)
        let inode = try status(first.copyPath).inode
        #expect(try store.take(path: path) == first)
        #expect(try status(first.copyPath).inode == inode)
        try folder.file("plugins/job", "#!/bin/sh\nexit 2\n", mode: 0o755)
        let second = try store.take(path: path)
        #expect(second.digest != first.digest)
        #expect(store.isReady(first) && store.isReady(second))
    }

    @Test(
        "a copy that was tampered with or lost is made anew",
        arguments: ["bytes", "mode", "gone", "longer"]
    )
    func tampered(_ how: String) throws {
        let text = "#!/bin/sh\nexit 1\n"
        let path = try folder.file("plugins/job", text, mode: 0o755)
        let handler = try store.take(path: path)
        let copy = "copies/\(handler.digest)/job"
        switch how {
        case "bytes": try folder.file(copy, "#!/bin/sh\nexit 3\n", mode: 0o555)
        case "mode": try folder.setMode(copy, 0o755)
        case "gone": try FileManager.default.removeItem(atPath: folder(copy))
        default: try folder.file(copy, text + "exit 3\n", mode: 0o555)
        }
        if how != "bytes" { #expect(!store.isReady(handler)) }
        #expect(try HandlerStore(copiesFolder: folder("copies")).take(path: path) == handler)
        #expect(try String(contentsOfFile: handler.copyPath, encoding: .utf8) == text)
        #expect(try status(handler.copyPath).mode == 0o555)
    }

    @Test("a file without the executable bit, or without content, is refused")
    func notExecutable() throws {
        let plain = try folder.file("plugins/job", "#!/bin/sh\n", mode: 0o644)
        let error = refusal { () throws(BulkheadError) in try store.take(path: plain) }
        #expect(error?.message == "\(plain) is not executable (mode 0644)")
        #expect(error?.advice?.hasPrefix("run chmod +x \(plain)") == true)
        let empty = try folder.file("plugins/empty", "", mode: 0o755)
        #expect(
            refusal { () throws(BulkheadError) in try store.take(path: empty) }?.message
                == "\(empty) is empty"
        )
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder("copies")).isEmpty)
    }

    @Test("a file that is too large is refused unread")
    func tooLarge() throws {
        let path = try folder.file("plugins/job", "#!/bin/sh\n", mode: 0o755)
        try SystemFailure.checkErrno(unsafe truncate(path, Limits.handlerBytes + 1))
        let error = refusal { () throws(BulkheadError) in try store.take(path: path) }
        #expect(error?.message.contains("more than the 1GiB") == true)
    }

    @Test("a handler that others can write, or in a folder that they can, is refused")
    func writable() throws {
        let path = try folder.file("plugins/job", "#!/bin/sh\n", mode: 0o777)
        #expect(refusal { () throws(BulkheadError) in try store.take(path: path) }?.code == .typeRefused)
        try folder.setMode("plugins/job", 0o755)
        try folder.setMode("plugins", 0o775)
        let error = refusal { () throws(BulkheadError) in try store.take(path: path) }
        #expect(error?.advice == "run chmod g-w \(folder("plugins"))")
    }

    @Test("two handlers of the same bytes have a copy each")
    func sameBytes() throws {
        let one = try store.take(path: folder.file("plugins/one", "#!/bin/sh\n", mode: 0o755))
        let two = try store.take(path: folder.file("plugins/two", "#!/bin/sh\n", mode: 0o755))
        #expect(one.digest == two.digest)
        #expect(one.copyPath != two.copyPath)
        #expect(store.isReady(one) && store.isReady(two))
    }

    @Test("pruning keeps the copies in use and removes the rest")
    func prune() throws {
        let one = try store.take(path: folder.file("plugins/one", "#!/bin/sh\n", mode: 0o755))
        let two = try store.take(path: folder.file("plugins/two", "#!/bin/sh\n#\n", mode: 0o755))
        try folder.file("copies/.new-4711", "half a copy")
        #expect(store.prune(keeping: [two.digest]) == [])
        #expect(!store.isReady(one) && store.isReady(two))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder("copies")) == [two.digest])
        #expect(try store.isReady(store.take(path: one.sourcePath)))
    }

    @Test("a settled file is not read again, and a touched one is")
    func settled() throws {
        let path = try folder.file("plugins/job", "#!/bin/sh\nexit 1\n", mode: 0o755)
        let status = try status(path)
        var known = KnownDigests()
        known.note(path, status, "digest", now: status.changed + KnownDigests.settleNanoseconds)
        #expect(known.digest(path, status) == nil)
        known.note(path, status, "digest", now: status.changed + KnownDigests.settleNanoseconds + 1)
        #expect(known.digest(path, status) == "digest")
        try folder.setMode("plugins/job", 0o555)
        #expect(try known.digest(path, self.status(path)) == nil)
    }

    @Test("a folder of copies that others can write is refused")
    func copiesFolder() throws {
        try folder.folder("open", mode: 0o777)
        let error = refusal { () throws(BulkheadError) in
            try HandlerStore(copiesFolder: folder("open/copies"))
        }
        #expect(error?.message == "\(folder("open")) is writable by everybody (mode 0777)")
        let none = refusal { () throws(BulkheadError) in try HandlerStore(copiesFolder: folder("no/copies")) }
        #expect(none?.cause == SystemFailure(ENOENT).description)
    }

    @Test(
        "a copy that was cleaned away is made anew before a launch, but only from the file that was checked"
    )
    func restore() throws {
        let path = try folder.file("plugins/job", "#!/bin/sh\nexit 1\n", mode: 0o755)
        let handler = try store.take(path: path)
        try FileManager.default.removeItem(atPath: handler.copyPath)
        try store.restore(handler)
        #expect(store.isReady(handler))
        try FileManager.default.removeItem(atPath: handler.copyPath)
        try folder.file("plugins/job", "#!/bin/sh\nexit 2\n", mode: 0o755)
        let changed = #expect(throws: BulkheadError.self) { try store.restore(handler) }
        #expect(changed?.code == .conflict && !store.isReady(handler))
        try FileManager.default.removeItem(atPath: path)
        let gone = #expect(throws: BulkheadError.self) { try store.restore(handler) }
        #expect(gone?.code == .notFound)
    }
}

import BulkheadCore
import BulkheadLaunch
import Foundation
import Synchronization
import Testing

@testable import BulkheadHost

/// Somebody who swaps files while a handler is checked: what is then copied is one of the right ones, or nothing.
@Suite("Swapped handlers")
struct HandlerSwapTests {
    private let folder: HostFolder
    private let store: HandlerStore

    private static let rounds = 200
    private static let good = "#!/bin/sh\necho good\n" + String(repeating: "# good\n", count: 4_000)
    private static let other = "#!/bin/sh\necho other\n" + String(repeating: "# other\n", count: 3_000)
    private static let evil = "#!/bin/sh\necho evil\n"

    init() throws {
        folder = try HostFolder(in: HostFolder.inMemory)
        try folder.folder("plugins")
        store = try HandlerStore(copiesFolder: folder("copies"))
    }

    /// Swaps on a thread of its own while handlers are taken.
    /// - Returns: The contents that were taken, and how often nothing was.
    private func takeWhile(
        _ path: String,
        _ swap: @escaping @Sendable (Int) -> Void
    ) throws -> (contents: Set<String>, refused: Int) {
        let isOver = Mutex(false)
        let swapper = Thread {
            var turn = 0
            while !isOver.withLock(\.self) {
                swap(turn)
                turn += 1
            }
        }
        swapper.start()
        defer {
            isOver.withLock { $0 = true }
            while !swapper.isFinished { usleep(100) }
        }
        var contents: Set<String> = []
        var refused = 0
        for _ in 0..<Self.rounds {
            do {
                let handler = try store.take(path: path)
                let bytes = try Data(contentsOf: URL(filePath: handler.copyPath))
                var hash = SHA256()
                hash.update(Array(bytes))
                #expect(hash.finish() == handler.digest, "the digest is not that of what would run")
                contents.insert(String(decoding: bytes, as: UTF8.self))
            } catch let error as BulkheadError {
                #expect([.typeRefused, .notFound].contains(error.code), "\(error)")
                refused += 1
            }
        }
        return (contents, refused)
    }

    @Test("a file that is replaced again and again runs as the one or the other, whole")
    func replaced() throws {
        let path = try folder.file("plugins/job", Self.good, mode: 0o755)
        let texts = [Self.good, Self.other]
        let (contents, _) = try takeWhile(path) { [folder] turn in
            let draft = folder("draft")
            try? Data(texts[turn % 2].utf8).write(to: URL(filePath: draft))
            _ = unsafe chmod(draft, 0o755)
            _ = unsafe rename(draft, path)
        }
        #expect(!contents.isEmpty && contents.isSubset(of: texts))
    }

    @Test("a link that leads now to a safe file and now to one that others can write never runs the other")
    func swungLink() throws {
        try folder.file("good", Self.good, mode: 0o755)
        try folder.file("evil", Self.evil, mode: 0o777)
        let path = try folder.link("plugins/job", to: folder("good"))
        let (contents, refused) = try takeWhile(path) { [folder] turn in
            let draft = folder("draft")
            _ = unsafe symlink(folder(turn % 2 == 0 ? "evil" : "good"), draft)
            _ = unsafe rename(draft, path)
        }
        #expect(contents.isSubset(of: [Self.good]) && (refused > 0 || !contents.isEmpty))
    }

    @Test(
        "a folder above that is swapped for a link into a folder that others can write never runs what lies there"
    )
    func swappedFolder() throws {
        try folder.folder("a/plugins")
        try folder.file("a/plugins/job", Self.good, mode: 0o755)
        try folder.folder("open/plugins")
        try folder.file("open/plugins/job", Self.evil, mode: 0o755)
        try folder.setMode("open", 0o777)
        let (contents, refused) = try takeWhile(folder("a/plugins/job")) { [folder] _ in
            _ = unsafe rename(folder("a"), folder("aside"))
            _ = unsafe symlink(folder("open"), folder("a"))
            _ = unsafe unlink(folder("a"))
            _ = unsafe rename(folder("aside"), folder("a"))
        }
        #expect(contents.isSubset(of: [Self.good]) && (refused > 0 || !contents.isEmpty))
    }

    @Test("a file that is opened and shut to others again and again is taken only as it was")
    func toggledMode() throws {
        let path = try folder.file("plugins/job", Self.good, mode: 0o755)
        let (contents, _) = try takeWhile(path) { turn in
            _ = unsafe chmod(path, turn % 2 == 0 ? 0o777 : 0o755)
        }
        #expect(contents.isSubset(of: [Self.good]))
    }

    @Test("a hard link from a folder that everybody can write gives nobody a right to the handler")
    func hardLink() throws {
        let path = try folder.file("plugins/job", Self.good, mode: 0o755)
        try folder.folder("open", mode: 0o1777)
        try SystemFailure.checkErrno(unsafe link(path, folder("open/job")))
        let handler = try store.take(path: path)
        // Whoever may write the one name may write the other; its own folder is what decides of the way there.
        #expect(throws: BulkheadError.self) {
            try folder.setMode("open", 0o777)
            _ = try store.take(path: folder("open/job"))
        }
        try folder.file("copy", "x", mode: 0o600)
        #expect(try String(contentsOfFile: handler.copyPath, encoding: .utf8) == Self.good)
    }

    @Test(
        "a right to write that an access list gives is found by the mask in the mode",
        .enabled(if: Self.hasLists, "needs python3, and a file system with access lists")
    )
    func accessList() throws {
        let path = try folder.file("plugins/job", Self.good, mode: 0o755)
        #expect(Self.giveWrite(to: 65_534, path))
        let error = #expect(throws: BulkheadError.self) { try store.take(path: path) }
        #expect(error?.code == .typeRefused && error?.message.contains("writable by group") == true)
    }

    /// Sets an access list with an entry for a user: `system.posix_acl_access` as acl(5) and the kernel's
    /// linux/posix_acl_xattr.h lay it out.
    private static func giveWrite(to user: UInt32, _ path: String) -> Bool {
        let program = """
            import os, struct, sys
            rows = [(1, 7, -1), (2, 7, int(sys.argv[2])), (4, 5, -1), (16, 7, -1), (32, 5, -1)]
            rows = b"".join(struct.pack("<HHI", tag, bits, id & 0xffffffff) for tag, bits, id in rows)
            os.setxattr(sys.argv[1], "system.posix_acl_access", struct.pack("<I", 2) + rows)
            """
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/python3")
        process.arguments = ["-c", program, path, "\(user)"]
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    private static let hasLists: Bool = {
        guard let folder = try? HostFolder(in: HostFolder.inMemory),
            let path = try? folder.file("f", "x", mode: 0o755)
        else { return false }
        return giveWrite(to: 65_534, path)
    }()
}

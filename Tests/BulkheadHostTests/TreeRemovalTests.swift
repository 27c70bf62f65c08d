import Foundation
import Testing

@testable import BulkheadHost

@Suite("TreeRemoval")
struct TreeRemovalTests {
    private let folder: HostFolder

    init() throws {
        folder = try HostFolder()
    }

    private func exists(_ name: String) -> Bool {
        (try? FileStatus.of(folder(name))) != nil
    }

    @Test("an ordinary tree goes, its neighbours stay")
    func ordinary() throws {
        try folder.folder("tree/a/b")
        try folder.folder("tree/c")
        for name in ["tree/1", "tree/a/2", "tree/a/b/3", "neighbour"] { try folder.file(name, "x") }
        #expect(TreeRemoval.remove("tree", in: folder.path) == [])
        #expect(!exists("tree") && exists("neighbour"))
        #expect(TreeRemoval.remove("neighbour", in: folder.path) == [])
        #expect(TreeRemoval.remove("neighbour", in: folder.path) == [])
        #expect(!exists("neighbour"))
    }

    @Test("links are removed, what they name is not")
    func links() throws {
        try folder.folder("kept/deep")
        try folder.file("kept/deep/file", "x")
        try folder.folder("tree/sub")
        try folder.link("tree/folder", to: folder("kept"))
        try folder.link("tree/sub/file", to: folder("kept/deep/file"))
        try folder.link("tree/sub/up", to: "..")
        try folder.link("tree/none", to: "nothing")
        #expect(TreeRemoval.remove("tree", in: folder.path) == [])
        #expect(!exists("tree") && exists("kept/deep/file"))
        try folder.link("link", to: "kept")
        #expect(TreeRemoval.remove("link", in: folder.path) == [])
        #expect(!exists("link") && exists("kept/deep/file"))
    }

    @Test("100,000 levels go with few descriptors and no deep stack", .timeLimit(.minutes(5)))
    func deep() throws {
        let folder = try HostFolder(in: HostFolder.inMemory)
        try folder.folder("tree")
        var at = try OpenDescriptor.open(folder("tree"), O_RDONLY | O_DIRECTORY)
        for level in 0..<100_000 {
            try SystemFailure.checkErrno(unsafe mkdirat(at.number, "d", 0o755))
            if level % 1_000 == 0 {
                _ = try OpenDescriptor.open("f", at: at.number, O_WRONLY | O_CREAT, mode: 0o600)
            }
            at = try OpenDescriptor.open("d", at: at.number, O_RDONLY | O_DIRECTORY)
        }
        #expect(TreeRemoval.remove("tree", in: folder.path) == [])
        #expect((try? FileStatus.of(folder("tree"))) == nil)
    }

    @Test(
        "folders that forbid everything are opened up by their owner",
        arguments: [0o000, 0o111, 0o444, 0o555]
    )
    func forbidding(_ mode: mode_t) throws {
        try folder.folder("tree/a/b/c")
        try folder.file("tree/a/b/c/file", "x", mode: 0o000)
        for name in ["tree/a/b/c", "tree/a/b", "tree/a", "tree"] { try folder.setMode(name, mode) }
        #expect(TreeRemoval.remove("tree", in: folder.path) == [])
        #expect(!exists("tree"))
    }

    @Test("very many files and folders in one folder go")
    func wide() throws {
        let folder = try HostFolder(in: HostFolder.inMemory)
        let top = try OpenDescriptor.open(folder.folder("tree"), O_RDONLY | O_DIRECTORY)
        for number in 0..<20_000 {
            _ = try OpenDescriptor.open("f\(number)", at: top.number, O_WRONLY | O_CREAT, mode: 0o600)
            if number % 10 == 0 {
                try SystemFailure.checkErrno(unsafe mkdirat(top.number, "d\(number)", 0o755))
            }
        }
        #expect(TreeRemoval.remove("tree", in: folder.path) == [])
        #expect((try? FileStatus.of(folder("tree"))) == nil)
    }

    @Test("names that are no text go too, and so do sockets and pipes")
    func names() throws {
        try folder.folder("tree/sub")
        let sub = try OpenDescriptor.open(folder("tree/sub"), O_RDONLY | O_DIRECTORY)
        for name: [CChar] in [[-1, -2, 0], [10, 27, 0], [-61, 0]] {
            try SystemFailure.checkErrno(unsafe mkdirat(sub.number, name, 0o755))
            try SystemFailure.checkErrno(unsafe mkfifoat(sub.number, name.dropLast() + [65, 0], 0o600))
        }
        #expect(TreeRemoval.remove("tree", in: folder.path) == [])
        #expect(!exists("tree"))
    }

    @Test("a folder swapped for a link in the middle is not followed")
    func swapped() async throws {
        try folder.folder("kept")
        for number in 0..<200 { try folder.file("kept/\(number)", "x") }
        for number in 0..<300 { try folder.folder("tree/d\(number)/e") }
        let (tree, kept) = (folder("tree"), folder("kept"))
        async let swapping: Void = {
            for _ in 0..<20 {
                for number in 0..<300 {
                    let name = "\(tree)/d\(number)"
                    _ = unsafe rename(name, name + ".away")
                    _ = unsafe symlink(kept, name)
                }
            }
        }()
        // Passes while somebody works against them; the last one when he is gone.
        for _ in 0..<20 { _ = TreeRemoval.remove("tree", in: folder.path) }
        await swapping
        #expect(TreeRemoval.remove("tree", in: folder.path) == [])
        #expect(!exists("tree"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: kept).count == 200)
    }

    @Test(
        "what is mounted inside is not entered, and said",
        .enabled(if: Rights.canMount, "only who may mount can make one")
    )
    func mounts() async throws {
        try folder.folder("kept")
        try folder.file("kept/file", "x")
        try folder.folder("tree/a/bound")
        try folder.folder("tree/other")
        try folder.file("tree/a/file", "x")
        for (options, place) in [
            (["--bind", folder("kept")], "tree/a/bound"), (["-t", "tmpfs", "t"], "tree/other"),
        ] {
            try #require(await Program.run("/bin/mount", options + [folder(place)]).status == 0)
        }
        try folder.file("tree/other/file", "x")
        let warnings = TreeRemoval.remove("tree", in: folder.path)
        #expect(
            warnings.contains {
                $0.hasSuffix("other cannot be removed: something is mounted there; unmount it")
            }
        )
        #expect(exists("kept/file") && exists("tree/other/file") && !exists("tree/a/file"))
        let table = MountTable.current().mounts.filter { $0.point.hasPrefix(folder("tree/")) }
        #expect(table.count == 2)
        for mount in table { #expect(try await Program.run("/bin/umount", [mount.point]).status == 0) }
        #expect(TreeRemoval.remove("tree", in: folder.path) == [])
    }

    @Test(
        "an immutable file stays, and the warning says what to do",
        .enabled(
            if: TreeRemovalTests.canSetImmutable,
            "needs root, chattr, and a file system with attributes"
        )
    )
    func immutable() async throws {
        try folder.folder("tree/a/b")
        for name in ["tree/a/stuck", "tree/a/b/goes"] { try folder.file(name, "x") }
        try #require(await Program.run("/usr/bin/chattr", ["+i", folder("tree/a/stuck")]).status == 0)
        let warnings = TreeRemoval.remove("tree", in: folder.path)
        #expect(warnings.first?.hasPrefix("\(folder("tree/a/stuck")) cannot be removed: ") == true)
        #expect(warnings.first?.contains("run chattr -i on it") == true)
        #expect(exists("tree/a/stuck") && !exists("tree/a/b"))
        try #require(await Program.run("/usr/bin/chattr", ["-i", folder("tree/a/stuck")]).status == 0)
        #expect(TreeRemoval.remove("tree", in: folder.path) == [])
    }

    /// Tried once, on a file of its own.
    private static let canSetImmutable: Bool = {
        guard Rights.isRoot, FileManager.default.isExecutableFile(atPath: "/usr/bin/chattr"),
            let folder = try? HostFolder(), let path = try? folder.file("probe", "x")
        else { return false }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "chattr +i '\(path)' && chattr -i '\(path)'"]
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()
}

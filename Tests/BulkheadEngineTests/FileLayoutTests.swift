import BulkheadLaunch
import BulkheadSandbox
import Testing

@testable import BulkheadEngine

@Suite("FileLayout")
struct FileLayoutTests {
    /// A host with a merged /usr, a linked /var/run and a linked data folder.
    static let host = FileView(
        kind: { path in
            ["/lib32", "/libx32", "/opt"].contains(path) ? nil : path.hasPrefix("/dev/null") ? .file : .folder
        },
        entries: { _ in [] },
        link: { path in
            switch path {
            case "/bin", "/lib", "/lib64", "/sbin": "usr" + path
            case "/var/run": "/run"
            case "/data": "/srv/disk/../disk"
            case "/loop": "loop"
            default: nil
            }
        }
    )

    private func steps(_ build: (inout FileLayout) -> Void) -> MountSpec {
        var layout = FileLayout(files: Self.host)
        build(&layout)
        return layout.spec(last: [])
    }

    @Test("links are made anew, and what they lead to is shown at its own place")
    func links() {
        let spec = steps { layout in
            layout.show("/usr", .execute)
            layout.show("/bin", .execute)
            layout.show("/data/in", .write)
            layout.show("/var/run/x", .read)
        }
        #expect(
            spec
                == MountSpec(
                    base: .empty,
                    steps: [
                        .link(path: "/bin", target: "usr/bin"),
                        .link(path: "/data", target: "/srv/disk/../disk"),
                        .bind(path: "/usr", access: .execute, optional: false),
                        .bind(path: "/run/x", access: .read, optional: false),
                        .link(path: "/var/run", target: "/run"),
                        .bind(path: "/srv/disk/in", access: .write, optional: false),
                    ]
                )
        )
    }

    @Test("what lies in something shown with the same rights needs no mount, with more rights it does")
    func nested() {
        let spec = steps { layout in
            layout.show("/usr", .execute)
            layout.show("/usr/share/fonts", .read)
            layout.show("/usr/local/out", .write)
            layout.show("/usr/local/out/more", .write)
        }
        #expect(
            spec.steps == [
                .bind(path: "/usr", access: .execute, optional: false),
                .bind(path: "/usr/local/out", access: .write, optional: false),
            ]
        )
    }

    @Test("a hidden folder is covered only where it would be seen, and what is needed in it is shown again")
    func hidden() {
        let spec = steps { layout in
            layout.show("/srv", .read)
            layout.show("/srv/state/scratch/1", .write)
            layout.hide("/srv/state/scratch")
            layout.hide("/srv/state")
            layout.hide("/var/lib/other")
        }
        #expect(
            spec.steps == [
                .bind(path: "/srv", access: .read, optional: false), .cover(path: "/srv/state"),
                .bind(path: "/srv/state/scratch/1", access: .write, optional: false),
            ]
        )
    }

    @Test("the root folder means the host as it is, written only where that is asked for")
    func root() {
        let reading = steps { layout in
            layout.show("/", .read)
            layout.show("/usr", .execute)
            layout.show("/dev/null", .device)
            layout.show("/srv/out", .write)
        }
        #expect(reading.base == .readOnlyHost)
        #expect(reading.steps == [.bind(path: "/srv/out", access: .write, optional: false)])
        #expect(steps { $0.show("/", .write) }.base == .host)
    }

    @Test("links that lead in a circle end the following")
    func circle() {
        #expect(!steps { $0.show("/loop/x", .read) }.steps.isEmpty)
    }

    @Test(
        "memory has entries for its bytes, within bounds",
        arguments: [(65536, 64), (1 << 30, 262144), (1 << 48, 1_048_576)]
    )
    func inodes(bytes: Int64, inodes: UInt64) {
        let spec = steps { $0.putMemory("/m", bytes: bytes, isOwned: true) }
        #expect(spec.steps == [.memory(path: "/m", bytes: UInt64(bytes), inodes: inodes, isOwned: true)])
    }

    @Test("names are compared as bytes: a combining mark parts nothing, and two spellings are two files")
    func bytes() {
        let spec = steps { layout in
            layout.show("/srv/\u{e9}", .read)
            layout.show("/srv/e\u{301}", .write)
            layout.show("/srv/state", .read)
            layout.show("/srv/state/\u{301}x", .read)
            layout.hide("/srv/state/\u{301}hidden")
        }
        let shown = spec.steps.compactMap { step -> (String, BindAccess)? in
            guard case .bind(let path, let access, _) = step else { return nil }
            return (path, access)
        }
        #expect(shown.count == 3 && shown.filter { $0.1 == .write }.count == 1)
        #expect(shown.contains { $0.0.utf8.elementsEqual("/srv/\u{e9}".utf8) && $0.1 == .read })
        #expect(spec.steps.contains { if case .cover = $0 { true } else { false } })
    }
}

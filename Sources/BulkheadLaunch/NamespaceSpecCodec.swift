extension NamespaceSpec {
    func write(to writer: inout ByteWriter) {
        for flag in [inUserNamespace, hasNetwork, hasIPC] { writer.put(flag) }
        writer.put(processes) { $0.put($1) }
        writer.put(mounts) { writer, mounts in
            writer.put(mounts.base.rawValue)
            writer.put(UInt32(mounts.steps.count))
            for step in mounts.steps { step.write(to: &writer) }
        }
    }

    init(from reader: inout ByteReader) throws(CodecError) {
        self.init(
            inUserNamespace: try reader.flag("user namespace"),
            hasNetwork: try reader.flag("network namespace"),
            hasIPC: try reader.flag("ipc namespace"),
            processes: try reader.optional("processes") { reader throws(CodecError) in
                try reader.number(UInt64.self, "processes")
            },
            mounts: try reader.optional("mounts") { reader throws(CodecError) in
                MountSpec(
                    base: try reader.value(MountSpec.Base.self, "root"),
                    steps: try reader.list("mounts") { reader throws(CodecError) in
                        try MountStep(from: &reader)
                    }
                )
            }
        )
    }
}

extension MountStep {
    private enum Kind: UInt8 {
        case link = 1
        case bind, cover, memory, proc, mask, offer
    }

    func write(to writer: inout ByteWriter) {
        switch self {
        case .link(let path, let target):
            writer.put(Kind.link.rawValue)
            writer.put(path)
            writer.put(target)
        case .bind(let path, let access, let optional):
            writer.put(Kind.bind.rawValue)
            writer.put(path)
            writer.put(access.rawValue)
            writer.put(optional)
        case .offer(let path, let access):
            writer.put(Kind.offer.rawValue)
            writer.put(path)
            writer.put(access.rawValue)
        case .cover(let path):
            writer.put(Kind.cover.rawValue)
            writer.put(path)
        case .memory(let path, let bytes, let inodes, let isOwned):
            writer.put(Kind.memory.rawValue)
            writer.put(path)
            writer.put(bytes)
            writer.put(inodes)
            writer.put(isOwned)
        case .proc:
            writer.put(Kind.proc.rawValue)
        case .mask(let path, let isFolder):
            writer.put(Kind.mask.rawValue)
            writer.put(path)
            writer.put(isFolder)
        }
    }

    init(from reader: inout ByteReader) throws(CodecError) {
        switch try reader.value(Kind.self, "mount step") {
        case .link:
            self = .link(path: try reader.mountPath(), target: try reader.kernelText("link target"))
        case .bind:
            self = .bind(
                path: try reader.mountPath(),
                access: try reader.value(BindAccess.self, "mount access"),
                optional: try reader.flag("optional mount")
            )
        case .offer:
            self = .offer(
                path: try reader.mountPath(),
                access: try reader.value(BindAccess.self, "mount access")
            )
        case .cover:
            self = .cover(path: try reader.mountPath())
        case .memory:
            self = .memory(
                path: try reader.mountPath(),
                bytes: try reader.number(UInt64.self, "bytes of memory"),
                inodes: try reader.number(UInt64.self, "inodes of memory"),
                isOwned: try reader.flag("owned memory")
            )
        case .proc:
            self = .proc
        case .mask:
            self = .mask(path: try reader.mountPath(), isFolder: try reader.flag("hidden folder"))
        }
    }
}

extension ByteReader {
    /// The path of a mount: absolute, so that it means the same in every folder.
    fileprivate mutating func mountPath() throws(CodecError) -> String {
        let path = try kernelText("mount path")
        guard path.utf8.first == UInt8(ascii: "/") else {
            throw .unknownValue(field: "mount path", value: UInt64(path.utf8.first ?? 0))
        }
        return path
    }
}

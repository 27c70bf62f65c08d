extension LaunchSpec {
    static let magic: UInt32 = 0x534B_4842  // "BHKS"

    /// The spec's bytes, for a sealed memfd.
    ///
    /// - Returns: At most `LaunchLimits.specBytes` bytes.
    /// - Throws: `CodecError.tooLong` if the spec is beyond that.
    public func encoded() throws(CodecError) -> [UInt8] {
        var writer = ByteWriter(reserving: 4096)
        writer.put(Self.magic)
        writer.put(LaunchLimits.specVersion)
        writer.put(attempt)
        writer.put(task)
        writer.put(executable)
        writer.put(arguments)
        writer.put(environment)
        writer.put(workingFolder)
        for number in [timeoutNanoseconds, graceNanoseconds, cpuNanoseconds] { writer.put(number) }
        writer.put(openFiles) { $0.put($1) }
        writer.put(fileSizeBytes) { $0.put($1) }
        writer.put(user) {
            $0.put($1.uid)
            $0.put($1.gid)
        }
        cgroup.write(to: &writer)
        writer.put(namespaces) { $1.write(to: &$0) }
        writer.put(landlock) { $1.write(to: &$0) }
        filter.write(to: &writer)
        writer.put(eventLineBytes)
        guard writer.bytes.count <= LaunchLimits.specBytes else {
            let limit = UInt64(LaunchLimits.specBytes)
            throw .tooLong(field: "spec", bytes: UInt64(writer.bytes.count), limit: limit)
        }
        return writer.bytes
    }

    /// Reads a spec from all of its bytes.
    ///
    /// - Parameter bytes: What `encoded()` made.
    /// - Throws: What is wrong with the bytes.
    public init(decoding bytes: ArraySlice<UInt8>) throws(CodecError) {
        guard bytes.count <= LaunchLimits.specBytes else {
            let limit = UInt64(LaunchLimits.specBytes)
            throw .tooLong(field: "spec", bytes: UInt64(bytes.count), limit: limit)
        }
        var reader = ByteReader(bytes)
        let magic = try reader.number(UInt32.self, "magic")
        guard magic == Self.magic else { throw .wrongMagic(found: magic) }
        let version = try reader.number(UInt16.self, "version")
        guard version == LaunchLimits.specVersion else {
            throw .unknownVersion(found: version, known: LaunchLimits.specVersion)
        }
        let attempt = try reader.number(UInt64.self, "attempt")
        let task = try reader.text("task", limit: LaunchLimits.nameBytes)
        self.init(
            attempt: attempt,
            executable: try reader.kernelText("executable"),
            arguments: try reader.kernelTexts("arguments"),
            environment: try reader.kernelTexts("environment"),
            workingFolder: try reader.kernelText("working folder")
        )
        self.task = task
        timeoutNanoseconds = try reader.count("timeout")
        graceNanoseconds = try reader.count("grace")
        cpuNanoseconds = try reader.count("cpu limit")
        try readRules(&reader)
        try reader.end()
    }

    private mutating func readRules(_ reader: inout ByteReader) throws(CodecError) {
        openFiles = try reader.optional("open files") { reader throws(CodecError) in
            try reader.number(UInt64.self, "open files")
        }
        fileSizeBytes = try reader.optional("file size") { reader throws(CodecError) in
            try reader.number(UInt64.self, "file size")
        }
        user = try reader.optional("user") { reader throws(CodecError) in
            LaunchUser(uid: try reader.identity("uid"), gid: try reader.identity("gid"))
        }
        cgroup = try CgroupSpec(from: &reader)
        namespaces = try reader.optional("namespaces") { reader throws(CodecError) in
            try NamespaceSpec(from: &reader)
        }
        landlock = try reader.optional("file rules") { reader throws(CodecError) in
            try LandlockSpec(from: &reader)
        }
        filter = try FilterSpec(from: &reader)
        eventLineBytes = try reader.number(UInt32.self, "event line limit")
        guard (1...UInt32(LaunchLimits.eventLineCeiling)).contains(eventLineBytes) else {
            throw .unknownValue(field: "event line limit", value: UInt64(eventLineBytes))
        }
    }
}

extension CgroupSpec {
    func write(to writer: inout ByteWriter) {
        writer.put(procs)
        writer.put(kill) { $0.put($1) }
        writer.put(oom) {
            $0.put($1.path)
            $0.put($1.kind.rawValue)
        }
        writer.put(folders)
    }

    init(from reader: inout ByteReader) throws(CodecError) {
        self.init(
            procs: try reader.kernelTexts("cgroup.procs"),
            kill: try reader.optional("cgroup.kill") { reader throws(CodecError) in
                try reader.kernelText("cgroup.kill")
            },
            oom: try reader.optional("oom counter") { reader throws(CodecError) in
                CgroupOOM(
                    path: try reader.kernelText("oom counter"),
                    kind: try reader.value(CgroupOOM.Kind.self, "oom counter")
                )
            },
            folders: try reader.kernelTexts("cgroup folders")
        )
    }
}

extension LandlockSpec {
    func write(to writer: inout ByteWriter) {
        for bits in [handledAccess, handledNetwork, scoped] { writer.put(bits) }
        writer.put(UInt32(rules.count))
        for rule in rules {
            writer.put(rule.path)
            writer.put(rule.access)
            writer.put(rule.optional)
        }
        writer.put(allowOwnProc)
    }

    init(from reader: inout ByteReader) throws(CodecError) {
        self.init(
            handledAccess: try reader.number(UInt64.self, "handled access"),
            handledNetwork: try reader.number(UInt64.self, "handled network"),
            scoped: try reader.number(UInt64.self, "scope"),
            rules: try reader.list("file rules") { reader throws(CodecError) in
                LandlockRule(
                    path: try reader.kernelText("file rule"),
                    access: try reader.number(UInt64.self, "file rule"),
                    optional: try reader.flag("file rule")
                )
            },
            allowOwnProc: try reader.flag("own proc")
        )
    }
}

extension FilterSpec {
    func write(to writer: inout ByteWriter) {
        writer.put(program)
        writer.put(hasListener)
        writer.put(firstExecNotified)
        onDenied.write(to: &writer)
        writer.put(UInt32(answers.count))
        for answer in answers { answer.write(to: &writer) }
        writer.put(deniedLimit)
    }

    init(from reader: inout ByteReader) throws(CodecError) {
        let program = try reader.bytes("filter", limit: 8 * LaunchLimits.filterInstructions)
        guard program.count.isMultiple(of: 8) else { throw .truncated(field: "filter") }
        let hasListener = try reader.flag("listener")
        let firstExecNotified = try reader.flag("notified exec")
        self.init(
            program: program,
            hasListener: hasListener,
            firstExecNotified: firstExecNotified,
            onDenied: try DeniedAction(from: &reader),
            answers: try reader.list("denied answers") { reader throws(CodecError) in
                try DenialAnswer(from: &reader)
            },
            deniedLimit: try reader.number(UInt64.self, "denied limit")
        )
    }
}

extension DeniedAction {
    fileprivate func write(to writer: inout ByteWriter) {
        switch self {
        case .errno(let errno):
            writer.put(UInt8(1))
            writer.put(errno)
        case .kill:
            writer.put(UInt8(2))
            writer.put(Int32(0))
        case .audit(let errno, let held):
            writer.put(UInt8(3))
            writer.put(errno)
            writer.put(UInt32(held.count))
            for number in held { writer.put(number) }
        }
    }

    fileprivate init(from reader: inout ByteReader) throws(CodecError) {
        let kind = try reader.number(UInt8.self, "denied action")
        let errno = try reader.signed("denied action")
        switch kind {
        case 1: self = .errno(try Self.known(errno, in: 1...4095))
        case 2:
            _ = try Self.known(errno, in: 0...0)
            self = .kill
        case 3:
            let held = try reader.list("held calls") { reader throws(CodecError) in
                try reader.number(UInt32.self, "held calls")
            }
            self = .audit(errno: try Self.known(errno, in: 1...4095), held: held)
        default: throw .unknownValue(field: "denied action", value: UInt64(kind))
        }
    }

    /// The kernel takes errnos of 1 to 4095 alone: another one would let the call appear to succeed.
    private static func known(_ errno: Int32, in range: ClosedRange<Int32>) throws(CodecError) -> Int32 {
        guard range.contains(errno) else {
            throw .unknownValue(field: "denied errno", value: UInt64(UInt32(bitPattern: errno)))
        }
        return errno
    }
}

extension DenialAnswer {
    fileprivate func write(to writer: inout ByteWriter) {
        writer.put(number)
        writer.put(UInt32(conditions.count))
        for condition in conditions {
            writer.put(condition.index)
            writer.put(condition.comparison.rawValue)
            writer.put(condition.mask)
            writer.put(condition.value)
        }
        action.write(to: &writer)
    }

    fileprivate init(from reader: inout ByteReader) throws(CodecError) {
        self.init(
            number: try reader.number(UInt32.self, "denied answer"),
            conditions: try reader.list("denied answer") { reader throws(CodecError) in
                let index = try reader.number(UInt8.self, "denied argument")
                guard index < 6 else { throw .unknownValue(field: "denied argument", value: UInt64(index)) }
                return DenialCondition(
                    index: index,
                    comparison: try reader.value(DenialComparison.self, "denied comparison"),
                    mask: try reader.number(UInt64.self, "denied mask"),
                    value: try reader.number(UInt64.self, "denied value")
                )
            },
            action: try DeniedAction(from: &reader)
        )
    }
}

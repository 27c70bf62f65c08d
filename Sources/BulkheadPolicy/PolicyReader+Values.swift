import BulkheadCore

extension KeyedValue {
    /// The name of a pool.
    func poolName() -> PoolName? {
        guard let text = text("a pool's name", bytes: 256) else { return nil }
        do {
            return try PoolName(text)
        } catch {
            refuse(error.description)
            return nil
        }
    }

    /// Variables in the file's order.
    func environment() -> [EnvironmentVariable] {
        guard let members = members("a mapping of names and values") else { return [] }
        guard members.count <= Limits.environmentVariables else {
            refuse("there are \(members.count) variables, and \(Limits.environmentVariables) are the most")
            return []
        }
        return members.compactMap { member, value in
            if let problem = Self.problem(ofVariable: member.key) {
                findings.add("environment: \(problem)", at: member.position)
                return nil
            }
            let room = Limits.argumentBytes - member.key.utf8.count - 1
            return value.text(bytes: room).map { EnvironmentVariable(name: member.key, value: $0) }
        }
    }

    private static func problem(ofVariable name: String) -> String? {
        let isName =
            !name.isEmpty && name.utf8.count <= 256
            && name.utf8.enumerated().allSatisfy { index, byte in isNameByte(byte, first: index == 0) }
        guard isName else {
            return
                "\(quoted(name)) is not a variable's name; it has letters, digits and \"_\", no digit first"
        }
        // Where the scratch folder is, and what the protocol says, holds for every handler.
        guard !["HOME", "TMPDIR"].contains(name), !name.hasPrefix("BULKHEAD_") else {
            return "\(name) is set by Bulkhead itself"
        }
        return nil
    }

    private static func isNameByte(_ byte: UInt8, first: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"):
            true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): !first
        default: false
        }
    }

    /// `dynamic` or a user's name; whether there is such a user is the host's to say.
    func user() -> HandlerUser? {
        guard let text = text("\"dynamic\" or a user's name", bytes: 256) else { return nil }
        // The names that useradd of shadow 4.13 takes, and those of systemd's strict form within them.
        let bytes = text.utf8
        let isName =
            (1...32).contains(bytes.count)
            && bytes.enumerated().allSatisfy { index, byte in
                Self.isNameByte(byte, first: index == 0)
                    || (index > 0 && (byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")))
            }
        guard isName else {
            refuse("\(Self.quoted(text)) is not a user's name; numbers are not taken")
            return nil
        }
        return text == "dynamic" ? .dynamic : .named(text)
    }

    /// A digest in lower case.
    func sha256() -> String? {
        guard let text = text("64 hexadecimal digits", bytes: 256) else { return nil }
        let isDigest =
            text.utf8.count == 64
            && text.utf8.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
            }
        guard isDigest else {
            refuse(
                "a SHA-256 has 64 hexadecimal digits, as sha256sum prints it; this has \(text.utf8.count) characters"
            )
            return nil
        }
        return text.lowercased()
    }
}

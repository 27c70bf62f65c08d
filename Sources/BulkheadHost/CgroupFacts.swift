import Foundation

/// What control groups this process could make, without making any.
public struct CgroupFacts: Sendable, Equatable {
    /// Whether the version 2 hierarchy is there and groups may be made in it.
    public var canMakeUnified: Bool
    /// The controllers that version 2 offers there.
    public var controllers: Set<String>
    /// Whether the version 1 hierarchy of the memory controller is there and groups may be made in it.
    public var canMakeMemory: Bool
    /// The same of the process count controller.
    public var canMakeProcesses: Bool

    /// Makes facts from their parts; without arguments nothing can be had.
    public init(
        canMakeUnified: Bool = false,
        controllers: Set<String> = [],
        canMakeMemory: Bool = false,
        canMakeProcesses: Bool = false
    ) {
        self.canMakeUnified = canMakeUnified
        self.controllers = controllers
        self.canMakeMemory = canMakeMemory
        self.canMakeProcesses = canMakeProcesses
    }

    /// Whether a limit of memory can be held.
    public var holdsMemory: Bool { canMakeUnified && controllers.contains("memory") || canMakeMemory }
    /// Whether a limit of processes can be held.
    public var holdsProcesses: Bool { canMakeUnified && controllers.contains("pids") || canMakeProcesses }

    /// Looks at the hierarchies that this process sees.
    public static func look(_ features: HostFeatures) -> CgroupFacts {
        let layout = features.cgroups
        var facts = CgroupFacts()
        if let unified = layout.unified {
            let places = [unified.ownFolder] + (features.isRoot ? [unified.mountPoint] : [])
            facts.canMakeUnified = places.contains { canMake(unified, in: $0) }
            facts.controllers = Set(places.flatMap { ProcFile.words($0 + "/cgroup.controllers") })
        }
        facts.canMakeMemory = layout.memory.map { canMake($0, in: $0.ownFolder) } ?? false
        facts.canMakeProcesses = layout.processes.map { canMake($0, in: $0.ownFolder) } ?? false
        return facts
    }

    private static func canMake(_ hierarchy: CgroupLayout.Hierarchy, in folder: String) -> Bool {
        !hierarchy.isReadOnly && FileManager.default.isWritableFile(atPath: folder)
    }
}

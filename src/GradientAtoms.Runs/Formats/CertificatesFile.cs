using System.Text.Json;
using GradientAtoms.Certificates;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Runs.Formats;

/// <summary><c>certificates.json</c>: <c>{"schema":"gatoms/certificates","version":1,"poles":[…]}</c>, one object a pole by row of the dictionary and sign; without <c>poles</c> where none were asked for.</summary>
internal static class CertificatesFile
{
    private const string SchemaName = "gatoms/certificates";
    private const int NewestVersion = 1;

    /// <summary>Writes the file: the same certificates give the same bytes.</summary>
    /// <param name="stream">Where to; left open.</param>
    /// <param name="poles">The certificates; null: none were asked for.</param>
    public static void Write(Stream stream, IReadOnlyList<PoleCertificate>? poles)
    {
        JsonSerializer.Serialize(stream, new CertificatesJson { Schema = SchemaName, Version = NewestVersion, Poles = poles }, RunJson.Indented);
        stream.WriteByte((byte)'\n');
    }

    /// <summary>Reads the file.</summary>
    /// <param name="path">Of a run's <c>certificates.json</c>.</param>
    /// <returns>Null where none were asked for.</returns>
    /// <exception cref="RunFolderException">GA2607 it is missing; GA2605 it is of a newer version; GA2609 it cannot be read.</exception>
    public static IReadOnlyList<PoleCertificate>? Read(string path)
    {
        var file = FormatGuard.ReadJson<CertificatesJson>(path, SchemaName, NewestVersion);
        return file.Poles is null || file.Poles.All(pole => pole is { Sign: 1 or -1, Reasons: not null }) ? file.Poles : throw FormatGuard.Damaged(path, "a pole lacks its sign or reasons");
    }

    private sealed record CertificatesJson : IVersionedJson
    {
        public required string Schema { get; init; }

        public required int Version { get; init; }

        public IReadOnlyList<PoleCertificate>? Poles { get; init; }
    }
}

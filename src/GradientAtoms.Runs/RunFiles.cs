namespace GradientAtoms.Runs;

/// <summary>Where things lie in a run folder.</summary>
public static class RunFiles
{
    /// <summary>The manifest.</summary>
    public const string Manifest = "run.json";

    /// <summary>The PEFT adapter that was audited.</summary>
    public const string Adapter = "adapter";

    /// <summary>One row a document of the data.</summary>
    public const string Documents = "documents.parquet";

    /// <summary>Rows of documents in the kept coordinates, in shards.</summary>
    public const string Gradients = "gradients";

    /// <summary>Eigenbases, eigenvalues and counts.</summary>
    public const string Curvature = "curvature.safetensors";

    /// <summary>The atoms in the kept coordinates, and the projection.</summary>
    public const string Dictionary = "dictionary.safetensors";

    /// <summary>The codes, sparse.</summary>
    public const string Codes = "codes.safetensors";

    /// <summary>The atoms as people read them.</summary>
    public const string Atoms = "atoms.json";

    /// <summary>The atoms as directions of the weights, where that is known.</summary>
    public const string Lifted = "lifted.safetensors";

    /// <summary>The report.</summary>
    public const string Report = "report.html";
}

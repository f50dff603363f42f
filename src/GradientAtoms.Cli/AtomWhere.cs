using GradientAtoms.Atoms;
using GradientAtoms.Localisation;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Reports;

namespace GradientAtoms.Cli;

/// <summary>Where an atom lies in the network, and its part of what the fine-tune did to the weights.</summary>
internal sealed record AtomWhere
{
    private const int Listed = 10;

    public IReadOnlyList<LayerShare>? Layers { get; init; }

    public IReadOnlyList<HeadShare>? Heads { get; init; }

    public IReadOnlyList<NeuronValue>? Neurons { get; init; }

    public double? Written { get; init; }

    public IReadOnlyList<MetricShare>? WeightChange { get; init; }

    /// <summary>What a run knows of an atom; what is not known is null.</summary>
    public static AtomWhere Read(RunView view, Atom atom)
    {
        var places = PlacesFile.Read(view.Folder);
        var own = places?.Atoms.FirstOrDefault(place => place.Atom == atom.Id);
        return new()
        {
            Layers = atom.Modules is null ? null : [.. LayerShare.Of(atom.Modules)],
            Heads = own is null ? null : [.. places!.Segments.Zip(own.Segments, (segment, share) => new HeadShare(segment, share)).OrderByDescending(head => head.Share)],
            Neurons = own?.Neurons,
            Written = own?.Written,
            WeightChange = RunReader.ReadWeights(view.Folder) is not { } weights ? null :
            [
                .. weights.Metrics.Select(metric => metric.Atoms.FirstOrDefault(share => share.Atom == atom.Id) is { } share ? new MetricShare(metric.Name, weights.Start, share.Cosine, share.Share) : null).OfType<MetricShare>(),
            ],
        };
    }

    public void Write(TextWriter writer)
    {
        if (Layers is null)
        {
            writer.WriteLine("  where it lies in the network is not known: the run keeps sketches, or was made before that was kept");
            return;
        }

        writer.WriteLine($"  layers: {string.Join("  ", Layers.Select(layer => $"{(layer.Layer is { } number ? Plain.Count(number) : "other")} {Plain.Percent(layer.Share)}"))}");
        if (Heads is { } heads)
        {
            writer.WriteLine($"  heads and parts, of the whole atom ({Plain.Percent(1 - heads.Sum(head => head.Share))} is in none: other modules, lora_A of q, k and v, lora_B of the output)");
            foreach (var head in heads.Take(Listed))
            {
                writer.WriteLine($"  {Plain.Percent(head.Share),8}  {TokenText.NameOf(head.Segment)}");
            }
        }

        if (Neurons is { } neurons)
        {
            writer.WriteLine($"  neurons written to, of the whole atom ({Plain.Percent(Written ?? 0)} is in rows of lora_B)");
            foreach (var neuron in neurons.Take(Listed))
            {
                writer.WriteLine($"  {Plain.Percent(neuron.Value),8}  {TokenText.NameOf(neuron)}");
            }
        }

        foreach (var metric in WeightChange ?? [])
        {
            writer.WriteLine($"  change of the weights, {(metric.Metric == "curvature" ? "weighted with the curvature" : "Euclidean")}: {Plain.Percent(metric.Share)} along this atom, towards its {(metric.Cosine < 0 ? "-" : "+")} pole{(metric.Start == "assumed" ? " (lora_A taken as not moved)" : string.Empty)}");
        }
    }
}

/// <summary>A head or part and its share of an atom.</summary>
internal sealed record HeadShare(NamedSegment Segment, double Share);

/// <summary>An atom's part of the change of the weights in one metric.</summary>
internal sealed record MetricShare(string Metric, string Start, double Cosine, double Share);
